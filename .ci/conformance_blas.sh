#!/usr/bin/env bash
# Runs netlib's, LAPACK's and scikit-learn's own tests and a PyTorch script on our BLAS names, builds the example C
# program as its readers would, and runs Debian's programs on our libblas.so.3. About two minutes on 2 cores, most of it
# downloads. Usage: .ci/conformance_blas.sh [--write FILE]   (with an environment that has frugalblas first in PATH)
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
say() { printf -- '-- %s\n' "$*"; }

say "packages"
packages=(libblas3 libblas-test liblapack3 liblapack-test libtmglib3 python3-numpy pkg-config gcc binutils)
. .ci/packages.sh
dpkg -s "${packages[@]}" >"$scratch/apt" 2>&1 || debian_packages --no-install-recommends "${packages[@]}"
python3 -m pip install --quiet scikit-learn pytest 'torch==2.13.0'

python3 tests/conformance_blas.py "$@"

say "the example C program, by pkg-config"
PKG_CONFIG_PATH=$(frugalblas config --pkgconfigdir)
export PKG_CONFIG_PATH
# shellcheck disable=SC2046  # several options
cc docs/examples/c/product.c -o "$scratch/product" $(pkg-config --cflags --libs frugalblas)
"$scratch/product"
say "the example C program, by CMake"
cmake -S docs/examples/c -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$(frugalblas config --cmakedir)" >"$scratch/log"
cmake --build "$scratch/cmake" >>"$scratch/log" || { cat "$scratch/log"; exit 1; }
"$scratch/cmake/product"
"$scratch/cmake/product_blas"

say "libblas.so.3 in place of Debian's"
lib=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
frugalblas blas-provider --install "$scratch/blas" --rest "$lib/blas/libblas.so.3" >"$scratch/log"
sed 's/^6 .*\(NUMBER OF VALUES OF N\)/9 \1/; s/^0 1 2 3 5 9 /0 1 2 3 7 17 33 64 65 /' "$lib/blas/sin3" >"$scratch/sin3"
# bound SYMBOL PROGRAM...: the program works, and finds SYMBOL in our library.
bound() {
  local symbol=$1
  shift
  LD_LIBRARY_PATH=$scratch/blas LD_DEBUG=bindings LD_DEBUG_OUTPUT=$scratch/bindings "$@"
  grep -q "to $scratch/blas/libblas.so.3 \[0\]: normal symbol \`$symbol'" "$scratch"/bindings.* ||
    { echo "$1 does not call our $symbol"; exit 1; }
  rm "$scratch"/bindings.*
}
(cd "$scratch" && bound cblas_sgemm "$lib/blas/xscblat3" <"$scratch/sin3" >"$scratch/log")
[ "$(grep -c 'cblas_sgemm *PASSED THE .* TESTS ( 59049 CALLS)' "$scratch/log")" -eq 2 ] || { cat "$scratch/log"; exit 1; }
! grep -q FAIL "$scratch/log" || { cat "$scratch/log"; exit 1; }
# From another folder: this one's tests/ and src/ are not for Debian's Python.
(cd "$scratch" && bound cblas_sgemm /usr/bin/python3 -I -c '
import numpy as np
A = np.arange(12, dtype=np.float32).reshape(3, 4)
assert (A @ A.T == A.astype(int) @ A.T.astype(int)).all()
assert (A @ A.T.copy() == A.astype(int) @ A.T.astype(int)).all()
assert np.allclose(np.linalg.solve(np.eye(3) + 1, np.ones(3)), 0.25)  # the rest of BLAS
print("Debian NumPy", np.__version__, "on our libblas.so.3")')

say "every name of the reference library, found through ours as FlexiBLAS does"
nm -D --defined-only "$lib/blas/libblas.so.3" | awk '$2 == "T" {print $3}' >"$scratch/names"
python3 - "$scratch" <<'PYTHON'
import ctypes, pathlib, sys
folder = pathlib.Path(sys.argv[1])
library, names = ctypes.CDLL(str(folder / "blas" / "libblas.so.3")), (folder / "names").read_text().split()
missing = [name for name in names if not hasattr(library, name)]
assert len(names) > 300 and not missing, (len(names), missing)
print(f"{len(names)} names")
PYTHON
