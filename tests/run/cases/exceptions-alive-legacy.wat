;; The legacy encoding of exceptions: what a `catch` has caught stays alive for its `rethrow`, however many are made
;; meanwhile, in thousands of frames at once. `tests/embed` runs it as a library.
(module
  (tag $a (param i32))
  (func $make (param $value i32)
    try
      local.get $value
      throw $a
    catch $a
      drop
    end)
  (func $litter (param $count i32)
    (loop $again
      (call $make (i32.const -1))
      (br_if $again (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
  ;; Catches an exception, catches all the others further down, and only then throws its own on.
  (func $nested (param $depth i32)
    try
      local.get $depth
      throw $a
    catch $a
      drop
      local.get $depth
      if
        local.get $depth
        i32.const 1
        i32.sub
        call $check
      else
        i32.const 5000
        call $litter
      end
      rethrow 0
    end)
  (func $check (param $depth i32)
    try (result i32)
      local.get $depth
      call $nested
      unreachable
    catch $a
    end
    local.get $depth
    i32.ne
    if
      unreachable
    end)
  (func $all (param $value i32)
    try
      local.get $value
      throw $a
    catch_all
      i32.const 3000
      call $litter
      rethrow 0
    end)
  ;; While the inner one is made, the outer one is in a register that callees keep, and nowhere else.
  (func $inner (param $value i32)
    try
      local.get $value
      throw $a
    catch $a
      drop
      try
        i32.const -1
        throw $a
      catch $a
        drop
      end
      rethrow 0
    end)
  (func $in_registers (param $count i32)
    loop $again
      try (result i32)
        local.get $count
        call $inner
        unreachable
      catch $a
      end
      local.get $count
      i32.ne
      if
        unreachable
      end
      local.get $count
      i32.const 1
      i32.sub
      local.tee $count
      br_if $again
    end)
  (func (export "_start")
    i32.const 20000
    call $in_registers
    i32.const 2000
    call $check
    try (result i32)
      i32.const 77
      call $all
      unreachable
    catch $a
    end
    i32.const 77
    i32.ne
    if
      unreachable
    end))
