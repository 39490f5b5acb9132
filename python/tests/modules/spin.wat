;; Never ends by itself.
(module (func (export "spin") (loop $again (br $again))))
