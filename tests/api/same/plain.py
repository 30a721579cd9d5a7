import skyrig as sky

task = sky.Task("hello", run="echo hi")
