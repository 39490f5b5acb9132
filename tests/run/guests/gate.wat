;; A component between a server and its handler, as middleware is: it traps for the path `/gate`, and hands on all other requests.
(component
  (import "wasi:http/types@0.2.4" (instance $types
    (export "incoming-request" (type $request (sub resource)))
    (export "response-outparam" (type (sub resource)))
    (export "[method]incoming-request.path-with-query"
      (func (param "self" (borrow $request)) (result (option string))))))
  (alias export $types "incoming-request" (type $request))
  (alias export $types "response-outparam" (type $outparam))
  (import "wasi:http/incoming-handler@0.2.4" (instance $handler
    (alias outer 1 $request (type $outer-request))
    (export "incoming-request" (type $request (eq $outer-request)))
    (alias outer 1 $outparam (type $outer-outparam))
    (export "response-outparam" (type $outparam (eq $outer-outparam)))
    (export "handle" (func (param "request" (own $request)) (param "response-out" (own $outparam))))))

  (core module $libc
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      ;; The path is all that is ever allocated. A longer one than a page is not the gate's.
      (if (i32.gt_u (local.get 3) (i32.const 32768)) (then (unreachable)))
      (i32.const 1024)))
  (core instance $libc (instantiate $libc))
  (alias core export $libc "memory" (core memory $memory))
  (alias core export $libc "realloc" (core func $realloc))
  (core func $path
    (canon lower (func $types "[method]incoming-request.path-with-query") (memory $memory) (realloc $realloc)))
  (core func $handle (canon lower (func $handler "handle")))

  (core module $gate
    (import "libc" "memory" (memory 1))
    (import "types" "path" (func $path (param i32 i32)))
    (import "handler" "handle" (func $handle (param i32 i32)))
    (func (export "handle") (param $request i32) (param $outparam i32)
      (call $path (local.get $request) (i32.const 0))
      ;; "/gat", and a length of 5.
      (if (i32.and
            (i32.eq (i32.load offset=8 (i32.const 0)) (i32.const 5))
            (i32.eq (i32.load (i32.load offset=4 (i32.const 0))) (i32.const 0x7461672f)))
        (then (unreachable)))
      (call $handle (local.get $request) (local.get $outparam))))
  (core instance $gate (instantiate $gate
    (with "libc" (instance $libc))
    (with "types" (instance (export "path" (func $path))))
    (with "handler" (instance (export "handle" (func $handle))))))
  (func $outer (param "request" (own $request)) (param "response-out" (own $outparam))
    (canon lift (core func $gate "handle")))
  (instance $outer (export "handle" (func $outer)))
  (export "wasi:http/incoming-handler@0.2.4" (instance $outer)))
