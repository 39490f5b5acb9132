;; Sums of indices wrap around in 32 bits, whatever was accessed before: upwards over the end of the index, downwards below
;; another access, further than an access proves. What leaves the memory traps, and what came before it was done.
;;! compile: --invoke wraps
;;! out: 4321
;;! compile: --invoke below
;;! out: 65
;;! compile: --invoke far
;;! out: 7
;;! compile: --invoke far -C address-sums=n
;;! out: 7
;;! compile: --invoke other
;;! out: 12
;;! compile: --invoke grows
;;! out: 1
;;! out: -1
;;! out: 65535
;;! compile: --invoke grows -C address-sums=n
;;! out: 1
;;! out: 65535
;;! out: 65536
;;! compile: --invoke ends
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: ends
;;! compile: --invoke ends -C address-sums=n
;;! exit: 134
;;! err: wasm trap: out of bounds memory access
;;! err: ends
(module
  (memory (export "memory") 1)
  (memory $other 2)
  (data (i32.const 0) "\01\02\03\04\05\06\07\08")
  (func $hide (param i32) (result i32) (local.get 0))

  ;; From the index -2: 3, 2, 1 and 0 are reached from above, then from below.
  (func $at (param $p i32) (result i32)
    (i32.add
      (i32.mul (i32.load8_u (i32.add (local.get $p) (i32.const 5))) (i32.const 1000))
      (i32.add
        (i32.mul (i32.load8_u (i32.add (local.get $p) (i32.const 4))) (i32.const 100))
        (i32.add
          (i32.mul (i32.load8_u (i32.add (local.get $p) (i32.const 3))) (i32.const 10))
          (i32.load8_u (i32.add (local.get $p) (i32.const 2)))))))
  (func (export "wraps") (result i32) (call $at (call $hide (i32.const -2))))

  ;; An access to 5 says nothing about 5 - 4, and nothing about 5 + 0xffffffff.
  (func $down (param $p i32) (result i32)
    (i32.store8 (local.get $p) (i32.const 60))
    (i32.store8 (i32.add (local.get $p) (i32.const -4)) (i32.const 5))
    (i32.add (i32.load8_u (local.get $p)) (i32.load8_u (i32.sub (local.get $p) (i32.const 4)))))
  (func (export "below") (result i32) (call $down (call $hide (i32.const 5))))

  ;; 0x80000000 more, twice, is where it began.
  (func $around (param $p i32) (result i32)
    (local $q i32)
    (drop (i32.load8_u (local.get $p)))
    (local.set $q (i32.add (local.get $p) (i32.const 0x80000000)))
    (i32.load8_u (i32.add (local.get $q) (i32.const 0x80000000))))
  (func (export "far") (result i32) (call $around (call $hide (i32.const 6))))

  ;; What one memory proves does not count for another.
  (func $both (param $p i32) (result i32)
    (i32.store $other (local.get $p) (i32.const 4))
    (i32.add
      (i32.load8_u (i32.sub (local.get $p) (i32.const 65529)))
      (i32.load $other (i32.add (local.get $p) (i32.const 0)))))
  (func (export "other") (result i32) (call $both (call $hide (i32.const 65536))))

  (func (export "grows") (result i32 i32 i32)
    (memory.grow (i32.const 65534))
    (memory.grow (i32.const 1))
    (memory.size))

  (func $ends (export "ends") (result i32)
    (local $p i32)
    (local.set $p (call $hide (i32.const 65532)))
    (i32.add (i32.load (local.get $p)) (i32.load (i32.add (local.get $p) (i32.const 4))))))
