;; Calls the host while the module is being instantiated.
(module (import "host" "start" (func $start)) (start $start))
