#!/usr/bin/env bash
# Builds the Python environment of this repository, from the versions pinned in requirements/.
# `make venv` calls it. Variables, all optional:
#   PYTHON       the interpreter to use (3.10 - 3.12; found on PATH by itself)
#   TORCH        another version than the pinned one, such as 2.12.0 or 2.9.1+cu128
#   TORCH_INDEX  an additional wheel index for torch
#   OPS          1 compiles mmcv's operators, which only mmdet's own models and the tests that
#                compare with them need; without it no compiler is needed
#   VENV         where to build it (.venv, with OPS=1 .venv-ops)
#   JOBS         compilers at a time (the number of cores)
# TORCH and TORCH_INDEX are remembered in the environment, so that `make test` keeps them.
#
# Every step leaves a stamp that holds what it was made from. A step whose stamp agrees is skipped,
# so a second run does nothing and a killed run goes on with the step it was killed in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ops=${OPS:-}
venv=${VENV:-.venv${ops:+-ops}}
py=$venv/bin/python
stamps=$venv/.stamps
log=$venv/make_venv.log

say() { printf '%s\n' "$@"; }
die() { printf 'make venv: %s\n' "$@" >&2; exit 1; }

pin() { sed -n "s/^\($1==[^ #]*\).*/\1/p" "requirements/$2.txt"; }

suits() {  # is $1 a Python that can make the environment?
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
    >/dev/null 2>&1
}

version_of() { "$1" --version 2>/dev/null || echo 'no program that runs'; }

find_python() {  # 3.11 first: the version that the benchmarks were made with
  local candidate
  if [[ -n ${PYTHON:-} ]]; then
    suits "$PYTHON" && { echo "$PYTHON"; return; }
    die "PYTHON=$PYTHON is $(version_of "$PYTHON")." \
        "Python 3.10, 3.11 or 3.12 with the venv module is needed: make venv PYTHON=python3.11"
  fi
  for candidate in python3.11 python3.12 python3.10 python3 python \
      "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[012].*/bin/python; do
    suits "$candidate" && { echo "$candidate"; return; }
  done
  die "no Python 3.10, 3.11 or 3.12 with the venv module was found" \
      "(python3 is $(version_of python3))." \
      "Install one (Debian: python3 and python3-venv; or pyenv, conda, uv), or name it:" \
      "make venv PYTHON=/path/to/python3.11"
}

check_compiler() {  # mmcv's operators are C++17 sources
  local cxx=${CXX:-c++} include
  printf '#include <vector>\nint main() { return 0; }\n' \
    | "$cxx" -std=c++17 -x c++ -fsyntax-only - >/dev/null 2>&1 \
    || die "no C++17 compiler: '$cxx' does not run. mmcv's operators have to be compiled." \
           "Install one (Debian: g++; conda: gxx_linux-64), or name it:" \
           "make venv OPS=1 CXX=/path/to/g++. Without OPS=1 no compiler is needed."
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

drop_half_installed() {  # pip writes INSTALLER last; without it a killed pip left the package
  find "$venv"/lib/python3*/site-packages -maxdepth 1 -name '*.dist-info' \
    ! -exec test -f '{}/INSTALLER' ';' -exec rm -r '{}' +
}

install() {  # what it is called, then pip's arguments
  local what=$1
  shift
  drop_half_installed
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
  if [[ -n $ops ]]; then check_compiler "$python"; fi
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
        "      make venv TORCH_INDEX=<CPU wheel index, see pytorch.org>   (200 MB)"
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

# One drawer of pip's cache for each kind of wheel, because pip can tell neither whether a wheel of
# mmcv has operators nor for which torch they were compiled.
pure_mmcv() {  # built apart from torch, which leaves the operators out
  install 'onedl-mmcv' --no-deps --force-reinstall \
    --cache-dir "$("$py" -m pip cache dir)/mmpfcn/pure" "$(pin onedl-mmcv openmmlab)"
}

compile_mmcv() {
  local build
  build=$("$py" -c 'import torch
print(torch.__version__ + ("-gpu" if torch.cuda.is_available() else ""))')
  if [[ $build == *-gpu ]] && ! [[ -x ${CUDA_HOME:-/usr/local/cuda}/bin/nvcc ]] \
      && ! command -v nvcc >/dev/null; then
    die "torch $build sees a GPU, but there is no nvcc to compile mmcv's operators for it." \
        "Install the CUDA toolkit and set CUDA_HOME, or build for the CPU:" \
        "make venv OPS=1 TORCH_INDEX=<CPU wheel index, see pytorch.org> TORCH=${torch%+*}+cpu"
  fi
  say "      It has no ready-made wheel. The first time it is compiled: about 15 minutes on 2 cores," \
      "      $jobs files at a time here. pip keeps the wheel it made: the next time takes seconds."
  drop_half_installed
  : >"$log"
  MMCV_WITH_OPS=1 MAX_JOBS=$jobs "$py" -m pip --disable-pip-version-check install --log "$log" -v \
    --no-build-isolation --no-deps --force-reinstall "$(pin onedl-mmcv openmmlab)" \
    --cache-dir "$("$py" -m pip cache dir)/mmpfcn/torch-$build" 2>&1 \
    | show_compilation || explain 'onedl-mmcv'
}

make_tests() {
  install requirements/tests.txt -r requirements/tests.txt -r requirements/docs.txt \
    -r requirements/onnx.txt
  install requirements/timm.txt --no-deps -r requirements/timm.txt
}

make_openmmlab() {
  grep -v '^onedl-mmcv==' requirements/openmmlab.txt >"$stamps/openmmlab.txt"
  install requirements/openmmlab.txt --no-deps --no-build-isolation -r "$stamps/openmmlab.txt"
}

make_mmpfcn() {
  install mmpfcn -q --no-deps --no-build-isolation -e .
  "$py" -W ignore - 2>"$log" <<END || { cat "$log" >&2; die "$venv is complete but does not work"; }
import cv2, mmcv, mmdet, mmengine, mmpfcn, numpy, panopticapi, torch  # noqa: E401,F401
from mmpfcn.compat import has_operators
assert has_operators() == ('$ops' != ''), f'mmcv has operators: {has_operators()}'
for package in (torch, mmengine, mmcv, mmdet, numpy, cv2, mmpfcn):
    print(f'      {package.__name__} {package.__version__}')
END
}

step() {  # name, key, title, command...: runs the command unless the stamp holds the key
  local name=$1 key=$2 title=$3
  shift 3
  if current "$name" "$key"; then return; fi
  say "$title"
  "$@"
  stamp "$name" "$key"
  worked=yes
}

take_base() {
  if ! current base made || ! suits "$py"; then rm -f "$stamps/base"; fi
  step base made "[1/7] virtual environment $venv" make_base
  version=$("$py" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [[ -n ${PYTHON:-} && $(version_of "$PYTHON") != "Python $version."* ]]; then
    die "$venv has Python $version, PYTHON=$PYTHON is $(version_of "$PYTHON")." \
        "Remove $venv, or build a second one: make venv VENV=.venv2 PYTHON=$PYTHON"
  fi
}

choose_torch() {  # what the user asks for, asked for last time, or what is pinned
  torch=${TORCH:-} torch_index=${TORCH_INDEX:-}
  if [[ -n $torch$torch_index ]]; then
    stamp choice "$torch"$'\n'"$torch_index"
  elif [[ -f $stamps/choice ]]; then
    { read -r torch; read -r torch_index; } <"$stamps/choice"
  fi
  torch=${torch:-$(pin torch build | sed 's/.*==//')}
}

main() {
  local worked=no version torch torch_index jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN)} key
  mkdir -p "$(dirname "$venv")"
  if command -v flock >/dev/null; then  # two at a time (make -j, two shells) would break it
    exec 9>"$venv.lock"
    flock -n 9 || { say 'make venv: another one is running, waiting for it'; flock 9; }
  fi
  trap 'echo; say "make venv: stopped; run it again to go on from here"; exit 130' INT TERM

  take_base
  choose_torch
  key="$(hash_of requirements/build.txt) $torch $torch_index"
  step torch "$key" "[2/7] torch $torch and build tools" make_torch
  step runtime "$(hash_of requirements/runtime.txt)" '[3/7] packages that mmdet needs' \
    install requirements/runtime.txt -r requirements/runtime.txt
  step tests "$(hash_of requirements/{tests,docs,onnx,timm}.txt)" \
    '[4/7] test, lint and documentation tools, ONNX Runtime, timm' make_tests
  step openmmlab "$(hash_of requirements/openmmlab.txt)" '[5/7] mmengine, mmdet, panopticapi' \
    make_openmmlab
  step mmcv "$key $(pin onedl-mmcv openmmlab) ${ops:-pure}" "[6/7] $(pin onedl-mmcv openmmlab)" \
    "$([[ -n $ops ]] && echo compile_mmcv || echo pure_mmcv)"
  step mmpfcn "$PWD $key $ops $(hash_of requirements/*.txt setup.py pyproject.toml)" \
    '[7/7] mmpfcn itself (editable), then importing everything' make_mmpfcn
  if [[ $worked == yes ]]; then
    say "make venv: $venv is ready"
  else
    say "make venv: $venv is up to date (Python $version, torch $torch)"
  fi
}

main
