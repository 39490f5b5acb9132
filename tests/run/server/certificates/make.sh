#!/usr/bin/env bash
# Makes the certificates of the tests anew, by openssl 3: an authority, and two certificates of it. `one` is for this machine,
# and `two` is for `two.test` alone. Nobody trusts the authority but the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
touch "$work/index"
cat >"$work/config" <<END
[ca]
default_ca = tests
[tests]
database = $work/index
new_certs_dir = $work
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[one]
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
[two]
subjectAltName = DNS:two.test
END
new() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
sign() {
    openssl req -new -config "$work/config" -key "$2" -subj "/CN=wasmelt tests $1" -out "$work/request"
    openssl ca -batch -notext -config "$work/config" -extensions "$1" -startdate 20200101000000Z -enddate 21000101000000Z \
        -in "$work/request" -out "$1.pem" "${@:3}"
}
new "$work/key"
sign authority "$work/key" -selfsign -keyfile "$work/key"
for name in one two; do
    new "$name-key.pem"
    sign "$name" "$name-key.pem" -cert authority.pem -keyfile "$work/key"
done
