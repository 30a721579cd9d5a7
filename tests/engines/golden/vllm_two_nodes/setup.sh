# Rendered by Skyrig. Has vllm 0.32.0 on this node, in an environment of its own; a Python that has it already is left as it is.
has() { # MODULES: can the Python of this node import them?
  python3 -c 'import sys; from importlib.util import find_spec; sys.exit(not all(map(find_spec, sys.argv[1:])))' "$@" 2>/dev/null
}
environment=$HOME/sky_serve/vllm-0.32.0
install() {
  rm -rf "$environment"
  if ! uv --version >/dev/null 2>&1; then
    python3 -m pip install --quiet --disable-pip-version-check --target "$HOME/sky_serve/uv" --upgrade uv || return
    export PATH="$HOME/sky_serve/uv/bin:$PATH"
  fi
  uv venv --quiet --python '>=3.10,<3.14' "$environment" || return
  uv pip install --quiet --python "$environment/bin/python" vllm==0.32.0 'ray[cgraph]==2.60.0' || return
  : >"$environment/whole"
}
if ! has vllm ray && [ ! -e "$environment/whole" ]; then
  echo "installing vllm 0.32.0"
  install || {
    echo "[skyrig] vllm 0.32.0 could not be installed on this node" >&2
    exit 1
  }
fi
