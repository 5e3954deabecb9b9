#!/bin/sh
# Makes /opt/sub50: the packages of one list, each at the hash in it, and our own wheel.
set -eu
python3 -m venv --without-pip /opt/sub50
pip() {
  /opt/build/bin/python -m pip --python /opt/sub50/bin/python "$@"
}
pip install --require-hashes --no-deps --only-binary :all: -r "$1"
pip install --no-deps --no-index wheels/*.whl
