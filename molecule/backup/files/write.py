# SPDX-License-Identifier: GPL-3.0-or-later
"""Write rows for two archive windows, each in a transaction of its own, and print what the server acknowledged."""

import json
import os
import pwd
import time

import psycopg2

SECONDS = 130

os.setuid(pwd.getpwnam("postgres").pw_uid)
session = psycopg2.connect(host="/var/run/postgresql", dbname="mlflowdb")
session.autocommit = True
cursor = session.cursor()
cursor.execute("create table if not exists acknowledged (number bigint primary key, at double precision)")
cursor.execute("truncate acknowledged")
number, end = 0, time.time() + SECONDS
while time.time() < end:
    number += 1
    cursor.execute("insert into acknowledged values (%s, %s)", [number, time.time()])
    time.sleep(0.02)  # a client's pace; not a wait for anything
cursor.execute("select count(*), sum(hashtextextended(r::text, 0)::numeric)::text from runs r")
runs = cursor.fetchone()
print(json.dumps({"number": number, "finished": time.time(), "runs": [runs[0], runs[1]]}))
