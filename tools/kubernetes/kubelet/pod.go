package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netns"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

// pod runs one pod from the first sight of it to its end.
type pod struct {
	k       *kubelet
	uid     types.UID
	folder  string
	space   netns.NsHandle
	stop    chan struct{} // closed when it is to end
	stopped sync.Once

	mu         sync.Mutex
	object     *v1.Pod
	containers map[string]*running
	states     map[string]*v1.ContainerStatus
	address    string
	started    metav1.Time
	phase      v1.PodPhase
	reason     string
	prepared   bool
	silent     bool
}

func newPod(k *kubelet, object *v1.Pod) *pod {
	p := &pod{k: k, uid: object.UID, object: object, stop: make(chan struct{}), phase: v1.PodPending, started: metav1.Now()}
	p.folder = filepath.Join(k.folder, string(object.UID))
	p.containers, p.states = map[string]*running{}, map[string]*v1.ContainerStatus{}
	for _, each := range append(append([]v1.Container{}, object.Spec.InitContainers...), object.Spec.Containers...) {
		waiting := v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "ContainerCreating"}}
		p.states[each.Name] = &v1.ContainerStatus{Name: each.Name, Image: each.Image, State: waiting}
	}
	return p
}

func (p *pod) now() *v1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.object
}

func (p *pod) update(object *v1.Pod) {
	p.mu.Lock()
	p.object = object
	done := p.phase == v1.PodSucceeded || p.phase == v1.PodFailed
	p.mu.Unlock()
	if object.DeletionTimestamp != nil {
		p.stopped.Do(func() { close(p.stop) })
		if done {
			go p.k.forget(object)
		}
	}
}

func (p *pod) stopping() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

// run brings the pod up, waits until it has ended or is to end, and says how it went.
func (p *pod) run() {
	defer p.unplug()
	if p.prepare() {
		p.report()
		if p.initialize() {
			p.mu.Lock()
			p.phase, p.prepared = v1.PodRunning, true
			p.mu.Unlock()
			p.runAll()
		}
	}
	p.end()
}

// prepare has the network and the volumes; it tries again until what they are made of is there.
func (p *pod) prepare() bool {
	for !p.stopping() {
		err := os.MkdirAll(p.folder, 0o755)
		if err == nil && p.address == "" && !p.object.Spec.HostNetwork {
			var address string
			p.space, address, err = p.k.network.plug()
			p.mu.Lock()
			p.address = address
			p.mu.Unlock()
		}
		if err == nil {
			err = p.fillVolumes()
		}
		if err == nil {
			return true
		}
		p.waiting("ContainerCreating", err.Error())
		p.pause(500 * time.Millisecond)
	}
	return false
}

func (p *pod) pause(time_ time.Duration) {
	select {
	case <-p.stop:
	case <-time.After(time_):
	}
}

func (p *pod) waiting(reason, message string) {
	p.mu.Lock()
	for _, state := range p.states {
		state.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	p.mu.Unlock()
	p.report()
}

// initialize runs the init containers one after another; those that go on beside the others are not waited for.
func (p *pod) initialize() bool {
	for i := range p.object.Spec.InitContainers {
		each := &p.object.Spec.InitContainers[i]
		if podutil.IsRestartableInitContainer(each) {
			go p.keep(each, v1.RestartPolicyAlways)
			for !p.stopping() && !p.ready(each.Name) {
				p.pause(20 * time.Millisecond)
			}
			continue
		}
		policy := p.object.Spec.RestartPolicy
		if policy == v1.RestartPolicyAlways {
			policy = v1.RestartPolicyOnFailure
		}
		if code := p.keep(each, policy); code != 0 || p.stopping() {
			p.mu.Lock()
			p.phase = v1.PodFailed
			p.mu.Unlock()
			return false
		}
	}
	return true
}

func (p *pod) runAll() {
	var all sync.WaitGroup
	codes := make([]int, len(p.object.Spec.Containers))
	for i := range p.object.Spec.Containers {
		all.Add(1)
		go func() {
			defer all.Done()
			codes[i] = p.keep(&p.object.Spec.Containers[i], p.object.Spec.RestartPolicy)
		}()
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	var late <-chan time.Time
	if seconds := p.object.Spec.ActiveDeadlineSeconds; seconds != nil {
		late = time.After(time.Duration(*seconds) * time.Second)
	}
	select {
	case <-ended:
	case <-late:
		p.mu.Lock()
		p.reason = "DeadlineExceeded"
		p.mu.Unlock()
		p.stopped.Do(func() { close(p.stop) })
		<-ended
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.phase = v1.PodSucceeded
	for _, code := range codes {
		if code != 0 {
			p.phase = v1.PodFailed
		}
	}
	if p.reason != "" {
		p.phase = v1.PodFailed
	}
}

// end stops what still runs, says the last state, and lets a pod that is being deleted go.
func (p *pod) end() {
	p.stopped.Do(func() { close(p.stop) })
	p.kill()
	p.mu.Lock()
	if p.phase != v1.PodSucceeded {
		p.phase = v1.PodFailed
	}
	p.mu.Unlock()
	p.report()
	if object := p.now(); object.DeletionTimestamp != nil && !p.quiet() {
		p.k.forget(object)
	}
}

// kill ends all processes of the pod at once.
func (p *pod) kill() {
	p.stopped.Do(func() { close(p.stop) })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.containers {
		each.kill()
	}
}

// silence ends all processes, and nothing more is said of them.
func (p *pod) silence() {
	p.mu.Lock()
	p.silent = true
	p.mu.Unlock()
	p.kill()
}

func (p *pod) quiet() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.silent
}

func (p *pod) unplug() {
	if p.space != 0 {
		p.space.Close()
	}
	os.RemoveAll(filepath.Join(p.folder, "volumes"))
}

func (p *pod) ready(container string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.states[container].Ready || p.states[container].State.Terminated != nil
}

// report says the pod's state to the API server.
func (p *pod) report() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent {
		return
	}
	status := v1.PodStatus{Phase: p.phase, Reason: p.reason, HostIP: p.k.address(p.object.Spec.NodeName), StartTime: &p.started}
	status.HostIPs = []v1.HostIP{{IP: status.HostIP}}
	if address := p.address; address != "" || p.object.Spec.HostNetwork {
		if address == "" {
			address = status.HostIP
		}
		status.PodIP, status.PodIPs = address, []v1.PodIP{{IP: address}}
	}
	ready := p.phase == v1.PodRunning
	for _, each := range p.object.Spec.InitContainers {
		status.InitContainerStatuses = append(status.InitContainerStatuses, *p.states[each.Name])
	}
	for _, each := range p.object.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, *p.states[each.Name])
		ready = ready && p.states[each.Name].Ready
	}
	done := ""
	if p.phase == v1.PodSucceeded {
		done = "PodCompleted"
	} else if p.phase == v1.PodFailed {
		done = "PodFailed"
	}
	status.Conditions = conditions(p.object, p.address != "", p.prepared, ready, done)
	p.k.report(p.object, status)
}

// conditions are those of a pod, after the ones that others wrote.
func conditions(object *v1.Pod, sandbox, initialized, ready bool, done string) []v1.PodCondition {
	own := map[v1.PodConditionType]bool{
		v1.PodReadyToStartContainers: sandbox, v1.PodInitialized: initialized, v1.ContainersReady: ready, v1.PodReady: ready,
	}
	var all []v1.PodCondition
	for _, each := range object.Status.Conditions {
		if _, mine := own[each.Type]; !mine {
			all = append(all, each)
		}
	}
	for _, kind := range []v1.PodConditionType{v1.PodReadyToStartContainers, v1.PodInitialized, v1.ContainersReady, v1.PodReady} {
		now := v1.PodCondition{Type: kind, Status: v1.ConditionFalse, LastTransitionTime: metav1.Now(), Reason: done}
		if own[kind] {
			now.Status, now.Reason = v1.ConditionTrue, ""
		} else if done == "" && (kind == v1.PodReady || kind == v1.ContainersReady) {
			now.Reason = "ContainersNotReady"
		}
		if _, before := podutil.GetPodCondition(&object.Status, kind); before != nil && before.Status == now.Status {
			now.LastTransitionTime = before.LastTransitionTime
		}
		all = append(all, now)
	}
	return all
}

func encoded(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // values of the API can be written
	}
	return text
}
