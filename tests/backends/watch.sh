#!/bin/sh
# Runs a server until whoever started this says so, or is gone.
#
#     watch.sh FOLDER COMMAND...
#
# Standard input is a pipe that the starter holds. When the starter ends, in whatever way, the pipe
# closes: the server is killed and FOLDER removed. A line on it kills the server and keeps FOLDER.
# (A parent-death signal would follow the thread that started the server, not the process.)
folder=$1
shift
"$@" </dev/null >>"$folder/log" 2>&1 &
server=$!
echo "$server" >"$folder/pid.new" && mv "$folder/pid.new" "$folder/pid"
# What ends the tests from a terminal goes to the whole group; this one has to clean up.
trap '' HUP INT TERM
read -r _
kept=$?
kill -9 "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -f "$folder/pid"
[ "$kept" = 0 ] || rm -rf "$folder"
