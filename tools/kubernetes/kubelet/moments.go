package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// The moments of lines, by the file that they are in: a line's is when its log was first asked for with it there.
var moments = struct {
	sync.Mutex
	known map[string][]time.Time
}{known: map[string][]time.Time{}}

// moment is that of line number `at` of a file. Each is later than the one before.
func moment(path string, at int) time.Time {
	moments.Lock()
	defer moments.Unlock()
	known := moments.known[path]
	for len(known) <= at {
		now := time.Now().UTC()
		if n := len(known); n > 0 && !now.After(known[n-1]) {
			now = known[n-1].Add(time.Nanosecond)
		}
		known = append(known, now)
	}
	moments.known[path] = known
	return known[at]
}

// serveStamped writes the lines of a log with their moments, those since sinceTime alone; it follows none.
func serveStamped(w http.ResponseWriter, r *http.Request, file *os.File) {
	since, _ := time.Parse(time.RFC3339, r.FormValue("sinceTime"))
	text, _ := io.ReadAll(file)
	for at, line := range bytes.SplitAfter(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if seen := moment(file.Name(), at); !seen.Before(since) {
			fmt.Fprintf(w, "%s %s", seen.Format("2006-01-02T15:04:05.000000000Z"), line)
		}
	}
}
