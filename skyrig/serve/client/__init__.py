"""The user's side of services: from a task to what its steward is handed (`asked`), the line to it (`link`), bringing
both to a cluster (`deploy`), and what is told of it (`told`)."""
