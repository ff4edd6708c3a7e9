#!/usr/bin/env bash
# Grow the file of the OSD. grow.sh DATA_DIR SIZE_GB
# The file `growing` tells the next run that this one was interrupted.
set -euo pipefail
dir=$1 size_gb=$2
as_ceph() { runuser -u ceph -- "$@"; }

as_ceph touch "$dir/growing"
systemctl stop ceph-osd@0
as_ceph truncate -s "${size_gb}G" "$dir/osd/block"
as_ceph ceph-bluestore-tool bluefs-bdev-expand --path "$dir/osd"
systemctl start ceph-osd@0
rm "$dir/growing"
