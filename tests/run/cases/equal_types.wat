;; Types that are equal are one type for `call_indirect`, also where no proposal is on that makes the validator
;; compare them (`call_indirect.wast` and `func.wast` of the suite's release 1).
;;! compile: -W function-references=n,exceptions=n,legacy-exceptions=n --invoke call
;;! out: 7
;;! compile: --invoke call
;;! out: 7
(module
  (type $a (func (result i32)))
  (type $b (func (result i32)))
  (table funcref (elem $seven))
  (func $seven (type $a) (i32.const 7))
  (func (export "call") (result i32) (call_indirect (type $b) (i32.const 0))))
