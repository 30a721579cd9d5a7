package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	idle     = 4 * time.Hour
	creation = 30 * time.Second
)

// serve is this kubelet's own API: what the API server asks a node for, and what the lab orders.
func (k *kubelet) serve(o options) {
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.serveExec)
	mux.HandleFunc("/exec/{namespace}/{pod}/{uid}/{container}", k.serveExec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.servePorts)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", k.servePorts)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", k.serveLogs)
	mux.HandleFunc("POST /lab/lose", func(w http.ResponseWriter, r *http.Request) {
		if one := k.find(r.FormValue("namespace"), r.FormValue("pod")); one != nil {
			one.kill()
		}
	})
	mux.HandleFunc("POST /lab/lose-node", func(_ http.ResponseWriter, r *http.Request) { k.lose(r.FormValue("node"), false) })
	mux.HandleFunc("POST /lab/find-node", func(_ http.ResponseWriter, r *http.Request) { k.lose(r.FormValue("node"), true) })
	mux.HandleFunc("POST /lab/publish", func(w http.ResponseWriter, r *http.Request) {
		port := r.FormValue("port")
		if err := k.network.forward(port, "127.0.0.1:"+port); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})
	trusted, err := os.ReadFile(o.authority)
	if err != nil {
		log.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AppendCertsFromPEM(trusted)
	secure := &tls.Config{ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert}
	server := &http.Server{Addr: ":" + o.port, Handler: mux, TLSConfig: secure, TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	log.Fatal(server.ListenAndServeTLS(o.cert, o.key))
}

func (k *kubelet) asked(w http.ResponseWriter, r *http.Request) *pod {
	one := k.find(r.PathValue("namespace"), r.PathValue("pod"))
	if one == nil {
		http.Error(w, "no such pod runs here", http.StatusNotFound)
	}
	return one
}

func (k *kubelet) serveExec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if one := k.asked(w, r); one != nil {
		words, name := r.URL.Query()["command"], r.PathValue("container")
		remotecommand.ServeExec(w, r, one, name, "", name, words, options, idle, creation, remotecommand.SupportedStreamingProtocols)
	}
}

func (k *kubelet) servePorts(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if one := k.asked(w, r); one != nil {
		portforward.ServePortForward(w, r, one, r.PathValue("pod"), string(one.uid), options, idle, creation, portforward.SupportedProtocols)
	}
}

// PortForward joins a stream with a port of the pod.
func (p *pod) PortForward(_ context.Context, _ string, _ string, port int32, stream io.ReadWriteCloser) error {
	link, err := p.dial(port, 10*time.Second)
	if err != nil {
		return err
	}
	join(stream, link)
	return nil
}

// ExecInContainer runs a command in a container that runs.
func (p *pod) ExecInContainer(_ context.Context, _ string, _ string, container string, words []string, in io.Reader, out, errors io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	p.mu.Lock()
	run := p.containers[container]
	p.mu.Unlock()
	if run == nil {
		return fmt.Errorf("container %s does not run", container)
	}
	command := enter(run, words)
	if tty {
		return asExit(withTerminal(command, in, out, resize))
	}
	command.Stdout, command.Stderr = out, errors
	if in == nil {
		return asExit(command.Run())
	}
	pipe, err := command.StdinPipe()
	if err != nil {
		return err
	}
	go func() { io.Copy(pipe, in); pipe.Close() }()
	return asExit(command.Run())
}

func asExit(err error) error {
	if ended, ok := err.(*exec.ExitError); ok {
		code := ended.ExitCode()
		if code < 0 {
			code = 137
		}
		return utilexec.CodeExitError{Err: err, Code: code}
	}
	return err
}

func withTerminal(command *exec.Cmd, in io.Reader, out io.Writer, resize <-chan remotecommand.TerminalSize) error {
	master, slave, err := terminal()
	if err != nil {
		return err
	}
	defer master.Close()
	command.Stdin, command.Stdout, command.Stderr = slave, slave, slave
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = command.Start()
	slave.Close()
	if err != nil {
		return err
	}
	go func() {
		for size := range resize {
			unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
		}
	}()
	if in != nil {
		go io.Copy(master, in)
	}
	io.Copy(out, master) // ends with an error when nobody has the other end open
	return command.Wait()
}

func terminal() (*os.File, *os.File, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return nil, nil, err
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	return master, slave, err
}

func (k *kubelet) serveLogs(w http.ResponseWriter, r *http.Request) {
	one := k.asked(w, r)
	if one == nil {
		return
	}
	name := r.PathValue("container")
	one.mu.Lock()
	state, run := one.states[name], one.containers[name]
	var count int32
	if state != nil {
		count = state.RestartCount
	}
	one.mu.Unlock()
	if r.FormValue("previous") == "true" {
		count--
	} else if _, err := os.Stat(one.logFile(name, count)); err != nil && count > 0 {
		count-- // it waits to be started again
	}
	file, err := os.Open(one.logFile(name, count))
	if err != nil {
		http.Error(w, fmt.Sprintf("container %q in pod %q is waiting to start", name, r.PathValue("pod")), http.StatusBadRequest)
		return
	}
	defer file.Close()
	if r.FormValue("timestamps") == "true" {
		serveStamped(w, r, file)
		return
	}
	if lines, err := strconv.Atoi(r.FormValue("tailLines")); err == nil {
		seekTail(file, lines)
	}
	copyLog(w, r, file, run)
}

func seekTail(file *os.File, lines int) {
	text, _ := io.ReadAll(file)
	whole := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	kept := strings.Join(whole[max(0, len(whole)-lines):], "")
	file.Seek(int64(strings.LastIndex(string(text), kept)), io.SeekStart)
	if lines == 0 {
		file.Seek(0, io.SeekEnd)
	}
}

func copyLog(w http.ResponseWriter, r *http.Request, file *os.File, run *running) {
	flush := http.NewResponseController(w)
	for {
		ended := r.FormValue("follow") != "true" || run == nil
		if !ended {
			select {
			case <-run.done:
				ended = true
			case <-r.Context().Done():
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
		io.Copy(w, file)
		flush.Flush()
		if ended {
			return
		}
	}
}
