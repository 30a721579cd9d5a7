"""What of a home is no part of any image, by its place below the home: what lets somebody in, and what is of no use to
anybody else. It goes from machines of clouds (templates/images/seal.sh.j2), from local nodes and from containers."""

CREDENTIALS = (
    ".aws", ".azure", ".config/gcloud", ".oci", ".nebius", ".kube", ".docker/config.json",
    ".config/containers/auth.json", ".netrc", ".git-credentials", ".huggingface",
    ".cache/huggingface/token", ".cache/huggingface/stored_tokens",
)  # fmt: skip
"""Where tools keep the keys to clouds, registries and model hubs."""

LEFTOVERS = (
    ".cache/pip", ".viminfo", ".lesshst", ".wget-hsts", "sky_logs", ".netrc.lock",
    ".bash_history", ".python_history", ".sh_history", ".zsh_history", ".node_repl_history", ".sqlite_history",
)  # fmt: skip
"""Logs, histories, and what is only there to be had again."""
