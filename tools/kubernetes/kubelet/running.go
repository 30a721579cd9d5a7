package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const longestMessage = 4096

// running is one run of a container's processes.
type running struct {
	mu    sync.Mutex
	pid   int
	ended bool
	done  chan struct{}
}

func (r *running) signal(number syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended && r.pid > 0 {
		syscall.Kill(r.pid, number)
	}
}

func (r *running) kill() { r.signal(syscall.SIGKILL) }

// keep runs a container until its end; again, where the policy says so. Its last exit code.
func (p *pod) keep(c *v1.Container, policy v1.RestartPolicy) int {
	for count := int32(0); ; count++ {
		code, reason, message, started := p.once(c, count)
		ended := &v1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, Message: message, StartedAt: started, FinishedAt: metav1.Now(),
			ContainerID: p.containerID(c.Name, count),
		}
		again := !p.stopping() && (policy == v1.RestartPolicyAlways || policy == v1.RestartPolicyOnFailure && code != 0)
		p.mu.Lock()
		state := p.states[c.Name]
		state.Ready = false
		state.State = v1.ContainerState{Terminated: ended}
		if len(p.object.Spec.InitContainers) > 0 && !p.prepared && code == 0 {
			state.Ready = true // an init container is ready when it has done its work
		}
		if again {
			state.RestartCount = count + 1
			state.LastTerminationState = state.State
			wait := &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "the lab waits a moment"}
			state.State = v1.ContainerState{Waiting: wait}
		}
		p.mu.Unlock()
		if !again {
			if p.object.Spec.RestartPolicy != v1.RestartPolicyAlways || !podutil.IsRestartableInitContainer(c) {
				p.report()
			}
			return code
		}
		p.report()
		p.pause(min(time.Second<<min(count, 4), 10*time.Second))
	}
}

func (p *pod) containerID(name string, count int32) string {
	return fmt.Sprintf("lab://%s-%s-%d", p.uid, name, count)
}

// once runs a container to its end: exit code, the reason and message that its status gets, when it began.
func (p *pod) once(c *v1.Container, count int32) (int, string, string, metav1.Time) {
	began := metav1.Now()
	if strings.HasPrefix(c.Image, "missing.invalid/") {
		p.waiting("ImagePullBackOff", "no such image: "+c.Image)
		<-p.stop
		return 137, "ContainerStatusUnknown", "", began
	}
	said, err := p.spec(c)
	if err != nil {
		p.state(c.Name, v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: err.Error()}})
		p.pause(time.Second)
		if p.stopping() {
			return 137, "ContainerStatusUnknown", "", began
		}
		return p.once(c, count)
	}
	run, reported, err := p.start(c, said, count)
	if err != nil {
		return 128, "StartError", err.Error(), began
	}
	ended := make(chan int, 1)
	go func() { ended <- run.wait() }()
	failed, _ := io.ReadAll(reported) // ends when the command is executed, or cannot be
	reported.Close()
	if len(failed) > 0 {
		<-ended
		return 128, "StartError", string(failed), began
	}
	p.begun(c, count, began)
	go p.probe(c, run.running)
	code := p.attend(c, run, ended)
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return code, reason, p.lastWords(c, count, code), began
}

type process struct {
	*running
	command *exec.Cmd
	log     *os.File
}

func (p *process) wait() int {
	p.command.Wait()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	close(p.done)
	p.log.Close()
	status := p.command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

func (p *pod) logFile(name string, count int32) string {
	return filepath.Join(p.folder, fmt.Sprintf("%s.%d.log", name, count))
}

// start begins the first process of a container; what cannot be done there comes through the reader.
func (p *pod) start(c *v1.Container, said *container, count int32) (*process, io.ReadCloser, error) {
	said.Folder = filepath.Join(p.folder, fmt.Sprintf("%s.%d", c.Name, count))
	if err := os.MkdirAll(said.Folder, 0o755); err != nil {
		return nil, nil, err
	}
	log, err := os.OpenFile(p.logFile(c.Name, count), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o666)
	if err != nil {
		return nil, nil, err
	}
	log.Chmod(0o666) // a program may open its /dev/stderr again as another user
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	reported, report, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	space := os.Stdin
	if said.Own {
		space = os.NewFile(uintptr(dup(int(p.space))), "network")
		defer space.Close()
	}
	command := exec.Command("/proc/self/exe", "init")
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = []*os.File{told, space, report}
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setsid:     true, Pdeathsig: syscall.SIGKILL,
	}
	one := &running{done: make(chan struct{})}
	err = command.Start()
	told.Close()
	report.Close()
	if err != nil {
		tell.Close()
		return nil, nil, err
	}
	one.pid = command.Process.Pid
	p.mu.Lock()
	p.containers[c.Name] = one
	p.mu.Unlock()
	json.NewEncoder(tell).Encode(said)
	tell.Close()
	if p.stopping() {
		one.kill()
	}
	return &process{one, command, log}, reported, nil
}

func dup(descriptor int) int {
	copied, err := syscall.Dup(descriptor)
	if err != nil {
		return -1
	}
	syscall.CloseOnExec(copied)
	return copied
}

func (p *pod) state(name string, state v1.ContainerState) {
	p.mu.Lock()
	p.states[name].State = state
	p.mu.Unlock()
	p.report()
}

func (p *pod) begun(c *v1.Container, count int32, at metav1.Time) {
	started := c.StartupProbe == nil
	p.mu.Lock()
	state := p.states[c.Name]
	state.State = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: at}}
	state.ContainerID, state.ImageID = p.containerID(c.Name, count), "lab@"+c.Image
	state.Started = &started
	state.Ready = started && c.ReadinessProbe == nil
	p.mu.Unlock()
	p.report()
}

// attend waits for a container's end; when the pod is to end, it has the grace that the pod gives.
func (p *pod) attend(c *v1.Container, run *process, ended <-chan int) int {
	select {
	case code := <-ended:
		return code
	case <-p.stop:
	}
	object := p.now()
	grace := 30 * time.Second
	if seconds := object.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if seconds := object.DeletionGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	late := time.After(grace)
	if hook := c.Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Exec != nil {
		over := make(chan struct{})
		go func() { enter(run.running, hook.PreStop.Exec.Command).Run(); close(over) }()
		select {
		case <-over:
		case <-late:
		}
	}
	run.signal(syscall.SIGTERM)
	select {
	case code := <-ended:
		return code
	case <-late:
		run.kill()
		return <-ended
	}
}

// lastWords is what a container left as its termination message.
func (p *pod) lastWords(c *v1.Container, count int32, code int) string {
	text, _ := os.ReadFile(p.messageFile(c.Name))
	if len(text) == 0 && code != 0 && c.TerminationMessagePolicy == v1.TerminationMessageFallbackToLogsOnError {
		text, _ = os.ReadFile(p.logFile(c.Name, count))
	}
	if len(text) > longestMessage {
		text = text[len(text)-longestMessage:]
	}
	return string(bytes.ToValidUTF8(text, []byte("?")))
}

func (p *pod) messageFile(name string) string { return filepath.Join(p.folder, name+".message") }

// enter is a command in the namespaces of a container that runs, with the environment of its first process.
func enter(run *running, words []string) *exec.Cmd {
	target := fmt.Sprint(run.pid)
	command := exec.Command("nsenter", append([]string{"-t", target, "-m", "-u", "-i", "-n", "-p", "--"}, words...)...)
	text, _ := os.ReadFile("/proc/" + target + "/environ")
	command.Env = strings.FieldsFunc(string(text), func(r rune) bool { return r == 0 })
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return command
}
