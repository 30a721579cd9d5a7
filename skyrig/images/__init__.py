"""Images as values: what one is made of (`recipe`, `prepared`), where those of this machine lie (`here`), how far a
build has come (`building`), and containers that are built without a daemon (`containers`)."""
