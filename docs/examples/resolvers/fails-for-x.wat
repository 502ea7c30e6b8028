;; Answers nothing, and crashes where any value begins with an x: what failing looks like.
(module
  (memory (export "memory") 1)

  (func (export "isles_alloc_v1") (param $bytes i32) (result i32)
    (i32.const 0))

  (func (export "isles_resolve_v1") (param $input i32) (param $bytes i32) (result i64)
    (local $record i32) (local $end i32)
    (local.set $record (i32.add (local.get $input) (i32.const 8)))
    (local.set $end
      (i32.add
        (local.get $record)
        (i32.mul (i32.load (local.get $input)) (i32.const 40))))
    (loop $next
      (if (i32.lt_u (local.get $record) (local.get $end))
        (then
          (if
            (i32.and
              (i32.ne (i32.load offset=4 (local.get $record)) (i32.const 0))
              (i32.eq
                (i32.load8_u
                  (i32.add (local.get $input) (i32.load (local.get $record))))
                (i32.const 120)))
            (then unreachable))
          (local.set $record (i32.add (local.get $record) (i32.const 40)))
          (br $next))))
    (i64.const 0)))
