"""Container images without a daemon: root file systems, layers (`layers`) and image layouts (`layout`) as
the Open Container Initiative describes them, and running a text inside one (`inside`)."""
