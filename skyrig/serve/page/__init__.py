"""The status page: services as a browser shows them, from snapshots that come in, on this machine's loopback alone.

`history` keeps what the plots need, `server` answers the browser, `opening` feeds the one from the other until Ctrl-C.
The page itself is templates/serve/page.html: one file that loads nothing from anywhere else.
"""
