;; The longest value wins; of equally long ones the greatest by its bytes. The built-in strategy `longest` does the same.
;;
;; wat2wasm longest.wat && redis-cli -x ISLES.RESOLVER LOAD longest < longest.wasm
(module
  (memory (export "memory") 1)

  ;; Makes room for the input at the start of the memory, which grows where that is too small.
  (func (export "isles_alloc_v1") (param $bytes i32) (result i32)
    (local $missing i32)
    (local.set $missing
      (i32.sub
        (i32.shr_u (i32.add (local.get $bytes) (i32.const 65535)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $missing) (i32.const 0))
      (then (drop (memory.grow (local.get $missing)))))
    (i32.const 0))

  ;; Whether the bytes at $left are greater than as many at $right.
  (func $is_greater (param $left i32) (param $right i32) (param $bytes i32) (result i32)
    (local $one i32) (local $other i32)
    (block $equal
      (loop $next
        (br_if $equal (i32.eqz (local.get $bytes)))
        (local.set $one (i32.load8_u (local.get $left)))
        (local.set $other (i32.load8_u (local.get $right)))
        (if (i32.ne (local.get $one) (local.get $other))
          (then (return (i32.gt_u (local.get $one) (local.get $other)))))
        (local.set $left (i32.add (local.get $left) (i32.const 1)))
        (local.set $right (i32.add (local.get $right) (i32.const 1)))
        (local.set $bytes (i32.sub (local.get $bytes) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  (func (export "isles_resolve_v1") (param $input i32) (param $bytes i32) (result i64)
    (local $record i32) (local $end i32)
    (local $start i32) (local $length i32)
    (local $best i32) (local $best_length i32)
    ;; The records begin after the header, whose first word counts them.
    (local.set $record (i32.add (local.get $input) (i32.const 8)))
    (local.set $end
      (i32.add
        (local.get $record)
        (i32.mul (i32.load (local.get $input)) (i32.const 40))))
    (local.set $best_length (i32.const -1))
    (loop $next
      (if (i32.lt_u (local.get $record) (local.get $end))
        (then
          (local.set $start (i32.add (local.get $input) (i32.load (local.get $record))))
          (local.set $length (i32.load offset=4 (local.get $record)))
          (if
            (if (result i32) (i32.eq (local.get $length) (local.get $best_length))
              (then
                (call $is_greater (local.get $start) (local.get $best) (local.get $length)))
              (else
                (i32.gt_s (local.get $length) (local.get $best_length))))
            (then
              (local.set $best (local.get $start))
              (local.set $best_length (local.get $length))))
          (local.set $record (i32.add (local.get $record) (i32.const 40)))
          (br $next))))
    ;; Where the answer is in the upper half, and how long it is in the lower.
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $best)) (i64.const 32))
      (i64.extend_i32_u (local.get $best_length)))))
