#!/usr/bin/env bash
# Builds the Python environment of this repository, from the versions pinned in requirements/.
# `make venv` calls it. Variables, all optional:
#   PYTHON       the interpreter to use (3.10 - 3.12; found on PATH by itself)
#   TORCH        another version than the pinned one, such as 2.12.0 or 2.9.1+cu128
#   TORCH_INDEX  an additional wheel index for torch
#   VENV         where to build it (.venv);   JOBS  compilers at a time (the number of cores)
# TORCH and TORCH_INDEX are remembered in the environment, so that `make test` keeps them.
#
# Every step leaves a stamp that holds what it was made from. A step whose stamp agrees is skipped,
# so a second run does nothing and a killed run goes on with the step it was killed in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

venv=${VENV:-.venv}
py=$venv/bin/python
stamps=$venv/.stamps
log=$venv/make_venv.log

say() { printf '%s\n' "$*"; }
die() { printf 'make venv: %s\n' "$@" >&2; exit 1; }

pin() { sed -n "s/^\($1==[^ #]*\).*/\1/p" "requirements/$2.txt"; }

# ------------------------------------------------------------------ before anything is written

suits() {  # is $1 a Python that can make the environment?
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
    >/dev/null 2>&1
}

find_python() {  # 3.11 first: the version that the benchmarks were made with
  local candidate
  if [[ -n ${PYTHON:-} ]]; then
    suits "$PYTHON" && { echo "$PYTHON"; return; }
    die "PYTHON=$PYTHON is $("$PYTHON" --version 2>&1 || echo 'no interpreter that runs')." \
        "Python 3.10, 3.11 or 3.12 with the venv module is needed: make venv PYTHON=python3.11"
  fi
  for candidate in python3.11 python3.12 python3.10 python3 python \
      "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[012].*/bin/python; do
    suits "$candidate" && { echo "$candidate"; return; }
  done
  die "no Python 3.10, 3.11 or 3.12 with the venv module was found" \
      "(python3 is $(python3 --version 2>&1 || echo 'not installed'))." \
      "Install one (Debian: python3 and python3-venv; or pyenv, conda, uv), or name it:" \
      "make venv PYTHON=/path/to/python3.11"
}

check_compiler() {  # mmcv's operators are C++17 sources
  local cxx=${CXX:-c++} include
  printf '#include <vector>\nint main() { return 0; }\n' \
    | "$cxx" -std=c++17 -x c++ -fsyntax-only - >/dev/null 2>&1 \
    || die "no C++17 compiler: '$cxx' does not run. mmcv's operators have to be compiled." \
           "Install one (Debian: g++; conda: gxx_linux-64), or name it: make venv CXX=/path/to/g++"
  include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [[ -f $include/Python.h ]] \
    || die "$1 comes without its C headers ($include/Python.h), which mmcv's operators include." \
           "Install them (Debian: python3-dev), or use another interpreter: make venv PYTHON=..."
}

check_disk() {
  local folder=$1 need_gb=4 free_kb
  free_kb=$(df -Pk "$folder" | awk 'NR == 2 {print $4}')
  (( free_kb > need_gb * 1024 * 1024 )) \
    || die "$(( free_kb / 1024 )) MB are free at $folder, $need_gb GB are needed" \
           "(12 GB for a torch with CUDA). Make room, or build it elsewhere: make venv VENV=/path"
}

# ------------------------------------------------------------------ steps and their stamps

current() { [[ -f $stamps/$1 && $(<"$stamps/$1") == "$2" ]]; }
stamp() { mkdir -p "$stamps"; printf '%s\n' "$2" >"$stamps/$1.new"; mv "$stamps/$1.new" "$stamps/$1"; }
hash_of() { cat "$@" | cksum | cut -d' ' -f1; }

explain() {  # says why pip failed, from its log
  local what=$1 reason='pip says why above'
  if grep -qi 'No space left on device' "$log"; then
    reason='the disk is full; 4 GB are needed, 12 GB for a torch with CUDA'
  elif grep -qE "ninja: build stopped|command '.*(c\+\+|g\+\+|nvcc).*' failed|fatal error:" "$log"; then
    grep -nE 'error:|Killed' "$log" | head -5 >&2 || true
    reason='the compilation failed; if a compiler was Killed, memory ran out: make venv JOBS=1'
  elif grep -qE 'NewConnectionError|NameResolutionError|Failed to establish|Temporary failure in name|timed out|ProxyError|SSLError|Connection (refused|reset|aborted)|Network is unreachable' "$log"; then
    reason='the package index cannot be reached; check the network, the proxy (HTTPS_PROXY) and pip config list'
  elif grep -qi 'No matching distribution' "$log"; then
    reason='the index has no such version for this Python and platform; check TORCH and TORCH_INDEX'
  fi
  die "installing $what failed: $reason." "The whole log is $log; run it again to go on from here."
}

install() {  # what it is called, then pip's arguments
  local what=$1
  shift
  : >"$log"
  "$py" -m pip --disable-pip-version-check install --no-warn-conflicts --log "$log" "$@" \
    || explain "$what"
}

make_base() {
  local python
  python=$(find_python)
  if [[ -e $venv && ! -f $venv/pyvenv.cfg && -n $(ls -A "$venv") ]]; then
    die "$venv exists and is no virtual environment; move it away, or use make venv VENV=..."
  fi
  check_compiler "$python"
  check_disk "$(dirname "$venv")"
  if suits "$py" && "$py" -m pip --version >/dev/null 2>&1; then
    say "      taking over the environment that is there"
  elif "$py" -c '' 2>/dev/null && ! suits "$py"; then
    die "$venv has $("$py" --version); 3.10, 3.11 or 3.12 is needed." \
        "Remove $venv, or build another one: make venv VENV=.venv2"
  else  # nothing there, or what a killed run left
    "$python" -m venv --clear "$venv" || die "$python -m venv failed, see above"
  fi
}

make_torch() {
  if [[ -z $torch_index && $(uname) == Linux ]] && ! command -v nvidia-smi >/dev/null; then
    say "      No NVIDIA GPU here. If the 3 GB torch with CUDA is downloaded below, stop it and use" \
        "      make venv TORCH_INDEX=https://download.pytorch.org/whl/cpu   (200 MB)"
  fi
  grep -v '^torch==' requirements/build.txt >"$stamps/build.txt"
  install "torch $torch" -r "$stamps/build.txt" "torch==$torch" \
    ${torch_index:+--extra-index-url "$torch_index"}
}

show_compilation() {  # turns pip's and ninja's output into one line of progress
  local line begin=$SECONDS built total left
  while IFS= read -r line; do
    [[ $line =~ \[([0-9]+)/([0-9]+)\]\  ]] || continue
    built=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
    left=$(( (SECONDS - begin) * (total - built) / built / 60 + 1 ))
    if [[ -t 1 ]]; then
      printf '\r      compiled %d of %d files, about %d min left   ' "$built" "$total" "$left"
      if (( built == total )); then echo; fi
    elif (( built % 20 == 0 || built == total )); then
      say "      compiled $built of $total files, about $left min left"
    fi
  done
}

install_mmcv() {  # pip's arguments
  : >"$log"
  MMCV_WITH_OPS=1 MAX_JOBS=$jobs "$py" -m pip --disable-pip-version-check install --log "$log" -v \
    --no-build-isolation --no-deps --force-reinstall "$@" "$(pin onedl-mmcv openmmlab)" 2>&1 \
    | show_compilation || explain 'onedl-mmcv'
}

make_mmcv() {
  local build cache
  build=$("$py" -c 'import torch
print(torch.__version__ + ("-gpu" if torch.cuda.is_available() else ""))')
  if [[ $build == *-gpu ]] && ! [[ -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]] \
      && ! command -v nvcc >/dev/null; then
    die "torch $build sees a GPU, but there is no nvcc to compile mmcv's operators for it." \
        "Install the CUDA toolkit and set CUDA_HOME, or build for the CPU:" \
        "make venv TORCH_INDEX=https://download.pytorch.org/whl/cpu TORCH=${torch%+*}+cpu"
  fi
  say "      There is no ready-made wheel: it is compiled, about 30 minutes of one core" \
      "      (15 on 2 cores; $jobs at a time here). pip keeps the wheel: next time it takes seconds."
  # pip does not know which torch the wheel in its cache was compiled against. Its own cache is for
  # the pinned torch without CUDA, every other torch has one beside it.
  cache=$("$py" -m pip cache dir)
  if [[ $build == "$(pin torch build | sed 's/.*==//')+cpu" ]]; then
    install_mmcv
    if "$py" -c 'import mmcv.ops' 2>/dev/null; then return; fi
    say '      The cached wheel was made for another torch: compiling it again.'
  fi
  install_mmcv --cache-dir "$cache/mmpfcn/torch-$build"
}

make_check() {
  "$py" - <<'END' || die "the packages are installed but cannot be imported, see above"
import cv2, mmcv, mmcv.ops, mmdet, mmengine, numpy, panopticapi, torch  # noqa: E401
import mmpfcn
print(f'      Python packages: torch {torch.__version__}, mmengine {mmengine.__version__}, '
      f'mmcv {mmcv.__version__}, mmdet {mmdet.__version__}, numpy {numpy.__version__}, '
      f'opencv {cv2.__version__}, mmpfcn {mmpfcn.__version__}')
END
}

# ------------------------------------------------------------------ the run

main() {
  local torch torch_index jobs version base key_torch key_all
  jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)}
  mkdir -p "$(dirname "$venv")"
  if command -v flock >/dev/null; then  # two at a time (make -j, two shells) would break it
    exec 9>"$venv.lock"
    flock -n 9 || { say 'make venv: another one is running, waiting for it'; flock 9; }
  fi
  trap 'echo; say "make venv: stopped; run it again to go on from here"; exit 130' INT TERM

  if current base made && suits "$py"; then
    version=$("$py" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [[ -n ${PYTHON:-} ]] && suits "$PYTHON" && [[ $("$PYTHON" --version) != *" $version."* ]]; then
      die "$venv has Python $version, PYTHON=$PYTHON is another one." \
          "Remove $venv, or build a second one: make venv VENV=.venv2 PYTHON=$PYTHON"
    fi
  else
    say "[1/7] virtual environment $venv"
    make_base
    stamp base made
    version=$("$py" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  fi

  torch=${TORCH:-} torch_index=${TORCH_INDEX:-}
  if [[ -z $torch && -z $torch_index && -f $stamps/choice ]]; then
    { read -r torch; read -r torch_index || true; } <"$stamps/choice"
  fi
  torch=${torch:-$(pin torch build | sed 's/.*==//')}
  stamp choice "$torch"$'\n'"$torch_index"

  key_torch="$(hash_of requirements/build.txt) $torch $torch_index"
  if ! current torch "$key_torch"; then
    say "[2/7] torch $torch and build tools"
    make_torch
    stamp torch "$key_torch"
  fi
  if ! current runtime "$(hash_of requirements/runtime.txt)"; then
    say '[3/7] packages that mmdet needs'
    install 'requirements/runtime.txt' -r requirements/runtime.txt
    stamp runtime "$(hash_of requirements/runtime.txt)"
  fi
  if ! current tests "$(hash_of requirements/tests.txt)"; then
    say '[4/7] test and lint tools'
    install 'requirements/tests.txt' -r requirements/tests.txt
    stamp tests "$(hash_of requirements/tests.txt)"
  fi
  if ! current mmcv "$key_torch $(pin onedl-mmcv openmmlab)"; then
    say "[5/7] $(pin onedl-mmcv openmmlab) with its operators"
    make_mmcv
    stamp mmcv "$key_torch $(pin onedl-mmcv openmmlab)"
  fi
  if ! current openmmlab "$(hash_of requirements/openmmlab.txt)"; then
    say '[6/7] mmengine, mmdet, panopticapi'
    install 'requirements/openmmlab.txt' --no-deps --no-build-isolation -r requirements/openmmlab.txt
    stamp openmmlab "$(hash_of requirements/openmmlab.txt)"
  fi
  key_all="$PWD $key_torch $(hash_of requirements/*.txt setup.py pyproject.toml)"
  if ! current mmpfcn "$key_all"; then
    say '[7/7] mmpfcn itself (editable), then importing everything'
    install mmpfcn -q --no-deps --no-build-isolation -e .
    make_check
    stamp mmpfcn "$key_all"
    say "make venv: $venv is ready"
  else
    say "make venv: $venv is up to date (Python $version, torch $torch)"
  fi
}

main
