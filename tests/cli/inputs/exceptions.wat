(module
  (tag $t)
  (func (export "_start") (throw $t)))
