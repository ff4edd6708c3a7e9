#!/usr/bin/env bash
# Make the cluster: monitor, manager, OSD, gateway. bootstrap.sh DATA_DIR SIZE_GB [DEVICE]
# An interrupted run is repeated: what was not finished is made again. No key passes as an argument.
set -euo pipefail
dir=$1 size_gb=$2 device=${3:-}
umask 077
as_ceph() { runuser -u ceph -- "$@"; }
keyring() { as_ceph ceph-authtool --create-keyring "$@" --gen-key; }

refuse() { echo "$1" >&2; exit 1; }
stop() { systemctl stop "$@"; systemctl reset-failed "$@" 2>/dev/null || true; }

if [ ! -e "$dir/mon/done" ]; then
  [ ! -e "$dir/osd/ready" ] || refuse "$dir/osd holds objects, but $dir/mon is not complete: put the whole of $dir back from a backup."
  stop ceph-osd@0 ceph-mgr@main ceph-radosgw@rgw.main ceph-mon@main
  find "$dir/mon" "$dir/mgr" "$dir/rgw" "$dir/osd" -mindepth 1 -delete
  as_ceph rm -f "$dir"/{admin.keyring,initial.keyring,monmap}
  keyring "$dir/admin.keyring" -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *' --cap mgr 'allow *'
  keyring "$dir/mgr/keyring" -n mgr.main --cap mon 'allow profile mgr' --cap osd 'allow *' --cap mds 'allow *'
  keyring "$dir/osd/keyring" -n osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
  keyring "$dir/rgw/keyring" -n client.rgw.main --cap mon 'allow rw' --cap osd 'allow rwx'
  keyring "$dir/initial.keyring" -n mon. --cap mon 'allow *'
  for part in admin.keyring mgr/keyring osd/keyring rgw/keyring; do
    as_ceph ceph-authtool "$dir/initial.keyring" --import-keyring "$dir/$part"
  done
  as_ceph monmaptool --create --addv main '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' "$dir/monmap"
  as_ceph ceph-mon --mkfs -i main --monmap "$dir/monmap" --keyring "$dir/initial.keyring"
  as_ceph rm "$dir/initial.keyring" "$dir/monmap"
  as_ceph touch "$dir/mon/done"
fi

systemctl start ceph-mon@main
ceph --connect-timeout 60 mon stat >/dev/null

if [ ! -e "$dir/osd/ready" ]; then
  [ -z "$(ceph --connect-timeout 60 osd pool ls)" ] || refuse "The store has pools, but $dir/osd is not complete: put the whole of $dir back from a backup."
  stop ceph-osd@0
  uuid_file=$dir/osd-uuid
  [ -s "$uuid_file" ] || as_ceph tee "$uuid_file" </proc/sys/kernel/random/uuid >/dev/null
  uuid=$(cat "$uuid_file")
  ceph --connect-timeout 60 osd new "$uuid" 0 >/dev/null
  find "$dir/osd" -mindepth 1 ! -name keyring -delete
  if [ -n "$device" ]; then
    as_ceph ln -s "$device" "$dir/osd/block"
    chown ceph:ceph "$(readlink -f "$device")"
    # what an interrupted run left; the preflight has seen that the device is empty or ours
    dd if=/dev/zero of="$device" bs=1M count=10 oflag=direct status=none
  else
    as_ceph truncate -s "${size_gb}G" "$dir/osd/block"
  fi
  as_ceph ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
fi

# Its Python modules do not load on Debian 13 ("PyO3 modules do not yet support subinterpreters"), so they are switched off
ceph --connect-timeout 60 health mute MGR_MODULE_ERROR --sticky >/dev/null
as_ceph touch "$dir/bootstrapped"
