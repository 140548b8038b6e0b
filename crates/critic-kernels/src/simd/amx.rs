//! x86-64 with AMX: products of tiles of bfloat16 pairs.
//!
//! A tile register holds sixteen rows of 64 bytes: of the left operand 16 rows by 16 pairs, of the right one
//! 16 pairs by 16 columns, of the sums 16 by 16 (Intel SDM, `TDPBF16PS`). The instruction sums the former and
//! the latter of the pairs apart before it adds both to the result, takes operands below 2⁻¹²⁶ for zero, and
//! flushes sums below it to zero.
#![expect(unsafe_code, reason = "instructions that only some processors have")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::avx512bf16::Avx512Bf16;
use crate::isa::Isa;

/// Rows of the sums that [`Tiles::multiply`] works out at once.
pub(crate) const TILE_ROWS: usize = 32;
/// Their columns.
pub(crate) const TILE_COLUMNS: usize = 32;
/// Pairs of the summed dimension in a tile.
pub(crate) const TILE_PAIRS: usize = 16;
/// Words of a row of a tile.
const LINE: usize = 16;
/// Words of the left operand, and of the right one, for [`TILE_PAIRS`] pairs.
const STEP: usize = TILE_ROWS * LINE;

/// Proof that the processor has AMX-BF16 beside what [`Avx512Bf16`] proves, and that this process may use it:
/// [`Amx::new`] is the only way to a value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Amx(Avx512Bf16);

/// A piece of work on tiles.
pub(crate) trait TileKernel {
    /// Does the work; implementations are `#[inline(always)]`.
    fn run(self, tiles: &mut Tiles);
}

impl Amx {
    /// The proof, where the processor and the operating system give it.
    pub(crate) fn new() -> Option<Self> {
        static FOUND: OnceLock<Option<Amx>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let vectors = Avx512Bf16::new()?;
            (has_tiles() && may_use_tiles()).then_some(Self(vectors))
        })
    }

    /// The proof, where `isa` has tiles too.
    pub(crate) fn on(isa: Isa) -> Option<Self> {
        (isa == Isa::AmxBf16).then(Self::new).flatten()
    }

    /// Runs a kernel with tile registers at hand, compiled for AVX-512 with AVX512_BF16.
    #[inline]
    pub(crate) fn dispatch<K: TileKernel>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
        fn compiled<K: TileKernel>(amx: Amx, kernel: K) {
            kernel.run(&mut Tiles::new(amx));
        }
        // SAFETY: `self` proves that the processor has every feature that `compiled` enables.
        unsafe { compiled(self, kernel) }
    }
}

/// Whether the processor has tiles and multiplies bfloat16 in them.
fn has_tiles() -> bool {
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    !cfg!(miri) && __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (BF16 | TILE) == BF16 | TILE
}

/// Whether the operating system keeps tiles for this process: Linux does for those that ask.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: the request reads and writes no memory of ours; a kernel that does not know it, or that finds
    // no room for tiles on a signal stack, refuses.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// Whether the operating system keeps tiles for this process: not known of this one.
#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

/// The shapes of the tile registers, as `LDTILECFG` reads them.
#[repr(C, align(64))]
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// The eight tile registers of this thread, all of full size, until it is dropped.
pub(crate) struct Tiles {
    /// The operations on vectors beside them.
    pub(crate) vectors: Avx512Bf16,
    /// The registers are the thread's.
    thread: PhantomData<*mut ()>,
}

impl Tiles {
    #[inline(always)]
    fn new(Amx(vectors): Amx) -> Self {
        let mut config = Config {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            row_bytes: [0; 16],
            rows: [0; 16],
        };
        config.row_bytes[..8].fill(64);
        config.rows[..8].fill(16);
        // SAFETY: `Amx` proves that the processor has the instruction and that the operating system lets
        // this process use it; it reads the 64 bytes of `config`. The compiler makes no use of tiles.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly, preserves_flags));
        }
        Self { vectors, thread: PhantomData }
    }

    /// `out = left · right`, or `out += left · right`; meanwhile some of `next` is brought into the
    /// second-level cache.
    ///
    /// `left`: for each [`TILE_PAIRS`] pairs the rows' words one row after the other; `right`: the
    /// columns' words one pair after the other.
    #[inline(always)]
    pub(crate) fn multiply(
        &mut self,
        left: &[u32],
        right: &[u32],
        next: &[u32],
        OutTile { start: out, stride, .. }: OutTile<'_>,
        add: bool,
    ) {
        let n_steps = left.len() / STEP;
        assert!(n_steps > 0 && left.len() == n_steps * STEP && right.len() == left.len());
        // SAFETY: the tiles are set up while `self` lives, and nothing else writes them. `left` and `right`
        // hold the `n_steps` times 2048 bytes that are read, as asserted, and `OutTile` the 32 rows of 128
        // bytes that are read and written; no instruction asks for alignment, and a prefetch faults nowhere.
        unsafe {
            asm!(
                "test {add:e}, {add:e}",
                "jz 2f",
                "tileloadd tmm0, [{out} + {stride}]",
                "tileloadd tmm1, [{out} + {stride} + 64]",
                "tileloadd tmm2, [{low} + {stride}]",
                "tileloadd tmm3, [{low} + {stride} + 64]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "tileloadd tmm4, [{left} + {line}]",
                "tileloadd tmm6, [{right} + {line} * 2]",
                "tileloadd tmm7, [{right} + {line} * 2 + 64]",
                "prefetcht1 [{next}]",
                "prefetcht1 [{next} + 64]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{left} + {line} + 1024]",
                "prefetcht1 [{next} + 128]",
                "prefetcht1 [{next} + 192]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 2048",
                "add {right}, 2048",
                "add {next}, 256",
                "dec {steps}",
                "jnz 3b",
                "tilestored [{out} + {stride}], tmm0",
                "tilestored [{out} + {stride} + 64], tmm1",
                "tilestored [{low} + {stride}], tmm2",
                "tilestored [{low} + {stride} + 64], tmm3",
                add = in(reg) u32::from(add),
                left = inout(reg) left.as_ptr() => _,
                right = inout(reg) right.as_ptr() => _,
                next = inout(reg) next.as_ptr() => _,
                steps = inout(reg) n_steps => _,
                out = in(reg) out,
                low = in(reg) out.add(TILE_ROWS / 2 * stride),
                stride = in(reg) stride * size_of::<f32>(),
                line = in(reg) 64usize,
                options(nostack),
            );
        }
    }
}

/// A place for [`TILE_ROWS`] rows of [`TILE_COLUMNS`] numbers.
pub(crate) struct OutTile<'a> {
    start: *mut f32,
    /// Numbers from a row to the next.
    stride: usize,
    lifetime: PhantomData<&'a mut f32>,
}

impl<'a> OutTile<'a> {
    /// Part of a matrix.
    ///
    /// # Safety
    /// The rows lie in one matrix, `stride` numbers apart, and nothing else may reach the numbers of these
    /// rows and columns while the value lives.
    #[inline(always)]
    pub(crate) unsafe fn new(start: *mut f32, stride: usize) -> Self {
        Self { start, stride, lifetime: PhantomData }
    }

    /// Rows that follow each other.
    #[inline(always)]
    pub(crate) fn whole(numbers: &'a mut [[f32; TILE_COLUMNS]; TILE_ROWS]) -> Self {
        let start = numbers.as_flattened_mut().as_mut_ptr();
        Self { start, stride: TILE_COLUMNS, lifetime: PhantomData }
    }
}

impl Drop for Tiles {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: as for the configuration; it frees the registers, which nothing reads after this.
        unsafe { asm!("tilerelease", options(nostack, nomem, preserves_flags)) };
    }
}
