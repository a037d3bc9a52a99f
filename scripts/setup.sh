#!/bin/sh
# Installs the system packages that autotorrent needs, and nothing that is there already.
#
#   sh scripts/setup.sh              what mounting needs: fuse3
#   sh scripts/setup.sh quickstart   and the clients of the demonstration: rTorrent, Transmission; further words add
#                                    deluge or qbittorrent
#   sh scripts/setup.sh test         and what the tests compare with: mktorrent, libtorrent for Python, bsdtar, unar,
#                                    openssl; the file systems of their sources: ext4, XFS, btrfs, mergerfs; and
#                                    programs that make and tag music and films
#
# On Debian and its kin it installs them as root, or through sudo; it asks first where it can (on a terminal), and
# goes on by itself where it cannot. Elsewhere it says what to install. Exit status: 0 if all is there in the end.
#
# The daemons that come with the packages are not started as services: a policy-rc.d that says no stands in
# /usr/sbin only while apt-get runs, and what stood there before is put back, whatever happens.
set -u
umask 022

# Tests put other paths here.
ROOT=${AUTOTORRENT_SETUP_ROOT:-}
POLICY=$ROOT/usr/sbin/policy-rc.d
KEPT=$POLICY.kept-by-autotorrent
FUSE_DEVICE=${AUTOTORRENT_SETUP_FUSE_DEVICE:-/dev/fuse}
SYSTEM_PYTHON=${AUTOTORRENT_SETUP_PYTHON:-/usr/bin/python3}

say() { printf '%s\n' "setup: $*"; }
complain() { printf '%s\n' "setup: $*" >&2; }

# What is there -----------------------------------------------------------------------------------------------------

has_command() {
  # Daemons lie in folders that an ordinary user's PATH lacks.
  PATH="$PATH:$ROOT/usr/sbin:$ROOT/sbin:$ROOT/usr/local/sbin" command -v "$1" >/dev/null 2>&1
}
has_python_libtorrent() {
  [ -x "$SYSTEM_PYTHON" ] && "$SYSTEM_PYTHON" -c 'import libtorrent' >/dev/null 2>&1
}

has() {
  case $1 in
    # Driver kernel takes either; fuse-native's library is libfuse 2, which knows its helper as fusermount.
    fuse) has_command fusermount3 || has_command fusermount ;;
    rtorrent) has_command rtorrent ;;
    transmission) has_command transmission-daemon ;;
    deluge) has_command deluged && has_command deluge-web ;;
    qbittorrent) has_command qbittorrent-nox ;;
    mktorrent) has_command mktorrent ;;
    bsdtar) has_command bsdtar ;;
    unar) has_command unar ;;
    openssl) has_command openssl ;;
    ext4) has_command mkfs.ext4 ;;
    xfs) has_command mkfs.xfs ;;
    btrfs) has_command mkfs.btrfs ;;
    mergerfs) has_command mergerfs ;;
    flac) has_command flac && has_command metaflac ;;
    lame) has_command lame ;;
    id3v2) has_command id3v2 ;;
    eyed3) has_command eyeD3 ;;
    atomicparsley) has_command AtomicParsley ;;
    mkvtoolnix) has_command mkvmerge && has_command mkvpropedit ;;
    libtorrent) has_python_libtorrent ;;
  esac
}

why() {
  case $1 in
    fuse) echo 'fusermount3, which mounts and unmounts the store for users other than root' ;;
    rtorrent) echo 'a torrent client: downloads from the store in the demonstration and the tests' ;;
    transmission) echo 'a torrent client: seeds from the store in the demonstration and the tests' ;;
    deluge) echo 'a torrent client: its daemon, and its web interface' ;;
    qbittorrent) echo 'a torrent client without a window' ;;
    mktorrent) echo 'makes torrents that ours are compared with in the tests' ;;
    bsdtar | unar) echo 'reads the archives that the tests write' ;;
    openssl) echo 'makes certificates for the tests' ;;
    ext4 | xfs | btrfs | mergerfs) echo 'a file system on which the tests put sources' ;;
    flac | lame) echo 'makes music for the tests' ;;
    id3v2 | eyed3 | atomicparsley | mkvtoolnix) echo 'tags the files of tests, as people do' ;;
    libtorrent) echo 'makes v2 and hybrid torrents for the tests' ;;
  esac
}

# package FAMILY NEED
package() {
  case $1:$2 in
    debian:fuse) echo fuse3 ;;
    debian:transmission | fedora:transmission) echo transmission-daemon ;;
    debian:deluge) echo 'deluged deluge-web' ;;
    debian:qbittorrent | fedora:qbittorrent | arch:qbittorrent) echo qbittorrent-nox ;;
    debian:bsdtar) echo libarchive-tools ;;
    debian:libtorrent) echo python3-libtorrent ;;
    fedora:eyed3) echo python3-eyed3 ;;
    fedora:atomicparsley) echo AtomicParsley ;;
    arch:eyed3) echo python-eyed3 ;;
    fedora:fuse) echo 'fuse fuse3' ;;
    fedora:libtorrent) echo rb_libtorrent-python3 ;;
    fedora:deluge) echo 'deluge-daemon deluge-web' ;;
    arch:fuse) echo 'fuse2 fuse3' ;;
    arch:transmission) echo transmission-cli ;;
    arch:bsdtar) echo libarchive ;;
    arch:unar) echo unarchiver ;;
    arch:libtorrent) echo libtorrent-rasterbar ;;
    *:ext4) echo e2fsprogs ;;
    *:xfs) echo xfsprogs ;;
    *:btrfs) echo btrfs-progs ;;
    *) echo "$2" ;;
  esac
}

packages() {
  family=$1
  shift
  for need in "$@"; do package "$family" "$need"; done | tr '\n' ' ' | sed 's/ $//'
}

missing_of() {
  for need in "$@"; do has "$need" || printf '%s ' "$need"; done
}

# /dev/fuse is the kernel's: no package brings it.
check_device() {
  if [ ! -e "$FUSE_DEVICE" ] && [ "$(id -u)" = 0 ] && has_command modprobe; then
    modprobe fuse >/dev/null 2>&1 || :
  fi
  if [ ! -e "$FUSE_DEVICE" ]; then
    complain "$FUSE_DEVICE is missing, without which nothing can be mounted."
    complain '  On a machine of your own: modprobe fuse (and, if it still is missing: mknod -m 666 /dev/fuse c 10 229).'
    complain '  In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN (native-notes/fusermount.md).'
    return 1
  fi
  # Opening it asks nothing of the kernel yet, and shows both modes and a container's device rules. In a process of
  # its own: a shell ends when exec fails.
  if ! (exec 3<>"$FUSE_DEVICE") 2>/dev/null; then
    complain "$FUSE_DEVICE is there but cannot be opened for reading and writing by $(id -un 2>/dev/null || id -u)."
    complain "  On a machine of your own: chmod 666 $FUSE_DEVICE (udev does so at the next start)."
    complain '  In a container: start it with --device /dev/fuse --cap-add SYS_ADMIN (native-notes/fusermount.md).'
    return 1
  fi
}

# Installing --------------------------------------------------------------------------------------------------------

policy_state=none

# The process that put our policy in place; nothing where it is another's.
policy_owner() { sed -n 's/^# autotorrent-setup \([0-9][0-9]*\)$/\1/p' "$POLICY" 2>/dev/null; }

put_back_policy() {
  if [ -e "$KEPT" ] || [ -L "$KEPT" ]; then mv -f "$KEPT" "$POLICY"; else rm -f "$POLICY"; fi
}

restore_policy() {
  [ $policy_state = none ] || put_back_policy
  policy_state=none
}

# What a run that was killed left behind. False while another run is at work.
mend_policy() {
  owner=$(policy_owner)
  if [ -n "$owner" ]; then
    if kill -0 "$owner" 2>/dev/null; then return 1; fi
    say "putting $POLICY back as it was before an interrupted run"
    put_back_policy
  elif [ ! -e "$POLICY" ] && [ ! -L "$POLICY" ] && { [ -e "$KEPT" ] || [ -L "$KEPT" ]; }; then
    put_back_policy
  fi
}

# A policy that the machine has already is moved aside and back, not copied: it comes back as it was, mode and times
# included.
forbid_services() {
  waited=0
  until mend_policy; do
    [ $waited -gt 0 ] || say 'waiting for another run of this script'
    waited=$((waited + 1))
    if [ $waited -gt 300 ]; then
      complain "process $(policy_owner) still holds $POLICY"
      return 1
    fi
    sleep 1
  done
  mkdir -p "${POLICY%/*}" || return 1
  printf '#!/bin/sh\n# For the time of an install, no service is started or stopped.\n# autotorrent-setup %s\nexit 101\n' \
    $$ >"$POLICY.new" && chmod 755 "$POLICY.new" || return 1
  policy_state=ours
  if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then mv "$POLICY" "$KEPT" || return 1; fi
  mv -f "$POLICY.new" "$POLICY"
}

apt() {
  # Another apt may be at work (a fresh machine updates itself): it is waited for.
  # needrestart, where it is installed, would restart what ran before.
  DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l \
    apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# Those packages that apt knows no version of to install.
unknown_packages() {
  for name in "$@"; do
    apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [^(]' || printf '%s ' "$name"
  done
}

apt_failed() {
  complain "apt-get failed (its messages are above). What helps most often:"
  complain '  no network or a wrong mirror   see /etc/apt/sources.list and /etc/apt/sources.list.d'
  complain '  an unknown package             "universe" on Ubuntu: add-apt-repository universe'
  complain '  a half-done earlier install    dpkg --configure -a, then apt-get -f install'
  complain '  another apt that did not end   within two minutes: wait for it and run this again'
  return 1
}

install_with_apt() {
  # shellcheck disable=SC2086
  set -- $1
  if [ -n "$(unknown_packages "$@")" ]; then
    say 'apt-get update (its lists lack these packages)'
    # A mirror of something else may be away: only what we need counts.
    apt update || complain 'apt-get update failed in part; going on with the lists there are'
    unknown=$(unknown_packages "$@")
    if [ -n "$unknown" ]; then
      complain "apt knows no package $unknown"
      apt_failed
      return 1
    fi
  fi
  trap restore_policy EXIT
  trap 'restore_policy; trap - EXIT; complain interrupted; exit 130' INT
  trap 'restore_policy; trap - EXIT; complain interrupted; exit 143' TERM HUP
  if ! forbid_services; then
    complain "$POLICY cannot be written: services would be started, so nothing is installed"
    return 1
  fi
  status=0
  if ! apt install --no-install-recommends "$@"; then
    # Lists that are weeks old name versions that the mirror no longer has.
    say 'apt-get update, and once more'
    if ! { apt update && apt install --no-install-recommends "$@"; }; then
      apt_failed
      status=1
    fi
  fi
  restore_policy
  trap - EXIT INT TERM HUP
  return $status
}

# Debian enables these for the next start of the machine. Where one was not installed before, nobody asked for that.
leave_disabled() {
  for service in transmission-daemon deluged deluge-web; do
    case " $1 " in *" $service "*) ;; *) continue ;; esac
    # Debian's one command for every init system: systemd's links, also where systemd itself is not installed yet.
    if has_command update-rc.d && update-rc.d "$service" disable >/dev/null 2>&1; then continue; fi
    # It knows those alone that have a script in /etc/init.d, too: this is what systemctl does.
    rm -f "$ROOT/etc/systemd/system/multi-user.target.wants/$service.service"
  done
}

agreed() {
  # CI sets no terminal, or says so by CI.
  if [ ! -t 0 ] || [ ! -t 1 ] || [ -n "${CI:-}" ]; then return 0; fi
  printf 'setup: install them now with apt-get? [Y/n] '
  read -r answer || answer=n
  case $answer in '' | [yY] | [yY][eE][sS]) return 0 ;; *) return 1 ;; esac
}

family() {
  ids=$(sed -n 's/^ID\(_LIKE\)\{0,1\}=//p' "$ROOT/etc/os-release" 2>/dev/null | tr -d '"' | tr '\n' ' ')
  case " $ids " in
    *' debian '* | *' ubuntu '*) echo debian ;;
    *' fedora '* | *' rhel '*) echo fedora ;;
    *' arch '*) echo arch ;;
    *) echo other ;;
  esac
}

tell_what_to_install() {
  complain 'install them, and run this again:'
  debian=$(packages debian "$@")
  fedora=$(packages fedora "$@")
  arch=$(packages arch "$@")
  case $(family) in
    debian) complain "  as root: apt-get install --no-install-recommends $debian" ;;
    fedora) complain "  as root: dnf install $fedora" ;;
    arch) complain "  as root: pacman -S --needed $arch" ;;
    *)
      complain "  Debian, Ubuntu   apt-get install --no-install-recommends $debian"
      complain "  Fedora           dnf install $fedora"
      complain "  Arch             pacman -S --needed $arch"
      ;;
  esac
}

# The run -----------------------------------------------------------------------------------------------------------

purpose=${1:-mount}
case $purpose in
  mount) needs='fuse' ;;
  quickstart) needs='fuse rtorrent transmission' ;;
  test) needs='fuse rtorrent transmission deluge qbittorrent mktorrent libtorrent bsdtar unar openssl
    ext4 xfs btrfs mergerfs flac lame id3v2 eyed3 atomicparsley mkvtoolnix' ;;
  *)
    complain "unknown purpose '$purpose'; usage: sh scripts/setup.sh [mount|quickstart|test] [deluge|qbittorrent]..."
    exit 2
    ;;
esac
[ $# -eq 0 ] || shift
for more in "$@"; do
  case $more in
    rtorrent | transmission | deluge | qbittorrent) case " $needs " in *" $more "*) ;; *) needs="$needs $more" ;; esac ;;
    *)
      complain "unknown client '$more': rtorrent, transmission, deluge or qbittorrent"
      exit 2
      ;;
  esac
done

# shellcheck disable=SC2086
missing=$(missing_of $needs)
if [ "$(id -u)" = 0 ] && [ -n "$(policy_owner)" ]; then mend_policy || :; fi
if [ -n "$missing" ]; then
  say "for $purpose this machine lacks:"
  for need in $missing; do say "  $(package debian "$need") - $(why "$need")"; done
  # shellcheck disable=SC2086
  wanted=$(packages debian $missing)
  if [ "$(family)" != debian ] || ! has_command apt-get; then
    # shellcheck disable=SC2086
    tell_what_to_install $missing
    exit 1
  fi
  if [ "$(id -u)" != 0 ]; then
    if has_command sudo && { sudo -n true 2>/dev/null || { [ -t 0 ] && [ -z "${CI:-}" ]; }; }; then
      say 'going on through sudo'
      exec sudo sh "$0" "$purpose"
    fi
    complain 'only root can install packages.'
    # shellcheck disable=SC2086
    tell_what_to_install $missing
    exit 1
  fi
  if ! agreed; then
    # shellcheck disable=SC2086
    tell_what_to_install $missing
    exit 1
  fi
  say "apt-get install $wanted (no service is started)"
  install_with_apt "$wanted" || exit 1
  leave_disabled "$wanted"
  # shellcheck disable=SC2086
  missing=$(missing_of $needs)
  if [ -n "$missing" ]; then
    complain "still missing after the install: $missing"
    exit 1
  fi
fi
check_device || exit 1
say "all that $purpose needs is there"
