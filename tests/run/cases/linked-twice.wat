;; One file as two instances, each with its own state; WASI functions read the memory of the module that calls them.
;;! compile: --preload a={linked}/counter.wat --preload b={linked}/counter.wat
;;! out: 1
;;! out: 2
;;! out: 1
;;! out: 3
(module
  (import "a" "next" (func $a (result i32)))
  (import "b" "next" (func $b (result i32)))
  (memory 1)
  (func (export "_start")
    (drop (call $a))
    (drop (call $a))
    (drop (call $b))
    (drop (call $a))))
