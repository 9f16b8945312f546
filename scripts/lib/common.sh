# shellcheck shell=bash
# Shared by the scripts: packages, configuring, building. Sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit

say() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The processors this process may use; on a shared machine fewer than it has.
jobs=${ASHLAR_JOBS:-$(nproc)}

packages=(
  cmake ninja-build g++ pkg-config ccache python3
  capnproto libcapnp-dev libssl-dev libeigen3-dev libopenblas-dev libspdlog-dev libfmt-dev
  liblz4-dev libxxhash-dev libucx-dev
  libcli11-dev libtomlplusplus-dev nlohmann-json3-dev libcereal-dev
  libgtest-dev libgmock-dev libbenchmark-dev iproute2 nftables openssl
)

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# True when Boost's headers are there and new enough, from wherever they came.
has_boost() {
  local version
  version=$(printf '#include <boost/version.hpp>\nBOOST_VERSION\n' | g++ -E -P -x c++ - 2>/dev/null |
            tail -n 1)
  [[ "$version" =~ ^[0-9]+$ ]] && [ "$version" -ge 108100 ]
}

# Distributions carry Boost under its version; the oldest one that is new enough will do.
boost_package() {
  local minor
  for minor in $(seq 81 99); do
    if apt-cache show "libboost1.$minor-dev" >/dev/null 2>&1; then
      echo "libboost1.$minor-dev"
      return
    fi
  done
  die "no package of Boost 1.81 or newer; install Boost by hand and start again"
}

# Installs what is missing with apt; does and prints nothing when all is there.
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "not a Debian or Ubuntu system: expecting Boost >= 1.81 and what these packages hold:"
    echo "  ${packages[*]}"
    return
  fi
  local missing=() package as_root=()
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ] && has_boost; then return; fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "need root, or sudo, to install: ${missing[*]:-Boost}"
    as_root=(sudo)
  fi
  say "Refreshing the package lists"
  "${as_root[@]}" apt-get update -qq
  has_boost || missing+=("$(boost_package)")
  say "Installing ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# build PRESET [targets...]: configures and builds into build/PRESET.
build() {
  local preset=$1 log
  shift
  say "Building $preset"
  mkdir -p "build/$preset"
  log=build/$preset/configure.log
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    return 1
  fi
  grep -E '^-- (BLAS|CUDA|TLS|UCX|ccache):' "$log" || true
  cmake --build --preset "$preset" --parallel "$jobs" ${1:+--target "$@"}
}
