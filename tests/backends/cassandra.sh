#!/bin/sh
# Starts one Cassandra node by hand, with the configuration of the tests, for `confab bench cql` and
# for whoever wants to look around. It ends with Ctrl-C; its files stay in the folder.
#
#   sh tests/backends/cassandra.sh FOLDER [PORT [MILLISECONDS]]
#
# With MILLISECONDS a write waits for a sync of the disk that comes that often, as on a slow disk.
# Needs `mvn` (once, for the artifacts) and `java` 17.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
libraries=$here/../../target/backends/cassandra-5.0.5
mkdir -p "$1"
folder=$(cd "$1" && pwd)
port=${2:-9042}
if [ ! -e "$libraries/jamm-0.4.0.jar" ]; then
    mvn -q -B -f "$here/cassandra/pom.xml" dependency:copy-dependencies -DoutputDirectory="$libraries"
fi
sed -e "s|{folder}|$folder|" -e "s|{address}|127.0.0.1|" -e "s|{seed}|127.0.0.1|" \
    -e "s|{port}|$port|" -e "s|{storage_port}|$((port + 1))|" \
    "$here/cassandra/cassandra.yaml" > "$folder/cassandra.yaml"
if [ -n "${3:-}" ]; then
    sed -i "s|^commitlog_sync: batch|commitlog_sync: group\ncommitlog_sync_group_window: ${3}ms|" \
        "$folder/cassandra.yaml"
fi
cp "$here/cassandra/logback.xml" "$folder"
exec java "@$here/cassandra/java.options" "-javaagent:$libraries/jamm-0.4.0.jar" \
    "-Dcassandra.config=file://$folder/cassandra.yaml" "-Dcassandra.storagedir=$folder" \
    "-XX:ErrorFile=$folder/hs_err" -cp "$folder:$libraries/*" \
    org.apache.cassandra.service.CassandraDaemon
