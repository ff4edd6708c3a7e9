# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a restored cluster with what was acknowledged before the loss; print the loss, fail when it is older than the archive's window allows."""

import json
import os
import pwd
import sys

import psycopg2

# archive_timeout, and as much again for a segment that is on its way
WINDOW_SECONDS = 120

lost = json.loads(os.environ["LOST"])
os.setuid(pwd.getpwnam("postgres").pw_uid)
session = psycopg2.connect(host="/var/run/postgresql", dbname="mlflowdb")
cursor = session.cursor()
cursor.execute("select count(*), max(number), max(at) from acknowledged")
count, newest, at = cursor.fetchone()
cursor.execute("select count(*), sum(hashtextextended(r::text, 0)::numeric)::text from runs r")
runs = list(cursor.fetchone())
print(f"acknowledged {lost['number']} rows, {newest} of them are back; without a gap: {count == newest}")
print(f"RPO {lost['finished'] - at:.1f} s")
sys.exit(not (count == newest and runs == lost["runs"] and lost["finished"] - at <= WINDOW_SECONDS))
