//! The rounds of BLAKE2s in assembly: compiled code takes twice the instructions. BPF has no rotate
//! instruction, and ten registers for a state of sixteen words; the compiler's scheduler spills.

use core::arch::asm;

use relay_common::blake2s::{SIGMA, Work};

/// A word times this is the word twice, side by side; shifted right, its lower half is the rotated
/// word.
const TWICE: u64 = 0x1_0000_0001;

/// The function G (RFC 7693, section 3.1) on words in four registers, with two words of the block.
/// In 32-bit operations, which clear the upper half, except for the rotations. r7 is [`TWICE`], r9 the
/// work, r8 free.
#[rustfmt::skip]
macro_rules! mix {
    ($a:literal $b:literal $c:literal $d:literal, $x:literal $y:literal) => {
        concat!(
            "r8 = *(u32 *)(r9 + {", $x, "})\n",
            "w", $a, " += w", $b, "\n",
            "w", $a, " += w8\n",
            "w", $d, " ^= w", $a, "\n",
            "r", $d, " *= r7\n",
            "r", $d, " >>= 16\n",
            "w", $c, " += w", $d, "\n",
            "w", $b, " ^= w", $c, "\n",
            "r", $b, " *= r7\n",
            "r", $b, " >>= 12\n",
            "r8 = *(u32 *)(r9 + {", $y, "})\n",
            "w", $a, " += w", $b, "\n",
            "w", $a, " += w8\n",
            "w", $d, " ^= w", $a, "\n",
            "r", $d, " *= r7\n",
            "r", $d, " >>= 8\n",
            "w", $c, " += w", $d, "\n",
            "w", $b, " ^= w", $c, "\n",
            "r", $b, " *= r7\n",
            "r", $b, " >>= 7\n",
        )
    };
}

/// Stores words of the local state from registers, and loads others.
#[rustfmt::skip]
macro_rules! swap {
    ($($old:literal $register:literal $new:literal),*) => {
        concat!($(
            "*(u32 *)(r9 + 4 * ", $old, ") = r", $register, "\n",
            "r", $register, " = *(u32 *)(r9 + 4 * ", $new, ")\n",
        )*)
    };
}

/// One round. Words 0, 3, 4, 8, 9, 12 and 14 are in r0 to r6 before and after it. This choice and
/// order need eighteen exchanges, the minimum for seven registers.
macro_rules! round {
    ($round:literal, $work:ident, $twice:ident, $words:ident) => {
        asm!(
            mix!(0 2 3 5, "m0" "m1"),
            swap!(4 2 1, 8 3 5, 12 5 13),
            mix!(2 3 4 5, "m2" "m3"),
            swap!(1 2 2, 9 4 6, 13 5 10),
            mix!(2 4 5 6, "m4" "m5"),
            swap!(2 2 7, 6 4 11, 14 6 15),
            mix!(1 2 4 6, "m6" "m7"),
            mix!(0 3 5 6, "m8" "m9"),
            swap!(5 3 1, 10 5 12, 15 6 6),
            mix!(3 6 4 5, "m10" "m11"),
            swap!(1 3 8, 6 6 13, 11 4 2),
            mix!(4 2 3 6, "m12" "m13"),
            swap!(2 4 9, 7 2 4, 13 6 14),
            mix!(1 2 4 6, "m14" "m15"),
            m0 = const place($round, 0),
            m1 = const place($round, 1),
            m2 = const place($round, 2),
            m3 = const place($round, 3),
            m4 = const place($round, 4),
            m5 = const place($round, 5),
            m6 = const place($round, 6),
            m7 = const place($round, 7),
            m8 = const place($round, 8),
            m9 = const place($round, 9),
            m10 = const place($round, 10),
            m11 = const place($round, 11),
            m12 = const place($round, 12),
            m13 = const place($round, 13),
            m14 = const place($round, 14),
            m15 = const place($round, 15),
            inout("r0") $words[0],
            inout("r1") $words[1],
            inout("r2") $words[2],
            inout("r3") $words[3],
            inout("r4") $words[4],
            inout("r5") $words[5],
            inout("r6") $words[6],
            in("r7") $twice,
            out("r8") _,
            in("r9") $work,
        )
    };
}

/// The same as [`relay_common::blake2s::rounds`].
#[inline(never)]
pub fn rounds(work: &mut Work) {
    const KEPT: [usize; 7] = [0, 3, 4, 8, 9, 12, 14];
    let mut words = KEPT.map(|at| u64::from(work[at]));
    let place = work.as_mut_ptr();
    // SAFETY: reads and writes words of `work`, at constant offsets below its length.
    unsafe {
        round!(0, place, TWICE, words);
        round!(1, place, TWICE, words);
        round!(2, place, TWICE, words);
        round!(3, place, TWICE, words);
        round!(4, place, TWICE, words);
        round!(5, place, TWICE, words);
        round!(6, place, TWICE, words);
        round!(7, place, TWICE, words);
        round!(8, place, TWICE, words);
        round!(9, place, TWICE, words);
    }
    for (at, word) in KEPT.into_iter().zip(words) {
        work[at] = word as u32;
    }
}

/// Offset in the work of the n-th message word of a round, bytes.
const fn place(round: usize, number: usize) -> usize {
    4 * (16 + SIGMA[round][number])
}
