package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe looks after a run of a container until it ends: started, ready, alive.
func (p *pod) probe(c *v1.Container, run *running) {
	if c.StartupProbe != nil {
		for !p.holds(c, c.StartupProbe, run) {
			if over(run, c.StartupProbe.PeriodSeconds) {
				return
			}
		}
		yes := true
		p.mu.Lock()
		p.states[c.Name].Started = &yes
		p.states[c.Name].Ready = c.ReadinessProbe == nil
		p.mu.Unlock()
		p.report()
	}
	if c.LivenessProbe != nil {
		go p.guard(c, run)
	}
	if c.ReadinessProbe == nil {
		return
	}
	wait := time.After(time.Duration(c.ReadinessProbe.InitialDelaySeconds) * time.Second)
	select {
	case <-run.done:
		return
	case <-wait:
	}
	for failures := int32(0); ; {
		if p.holds(c, c.ReadinessProbe, run) {
			failures = 0
			p.setReady(c.Name, true, run)
		} else if failures++; failures >= c.ReadinessProbe.FailureThreshold {
			p.setReady(c.Name, false, run)
		}
		if over(run, c.ReadinessProbe.PeriodSeconds) {
			return
		}
	}
}

func (p *pod) guard(c *v1.Container, run *running) {
	for failures := int32(0); failures < c.LivenessProbe.FailureThreshold; {
		if over(run, c.LivenessProbe.PeriodSeconds) {
			return
		}
		if p.holds(c, c.LivenessProbe, run) {
			failures = 0
		} else {
			failures++
		}
	}
	run.kill()
}

func over(run *running, seconds int32) bool {
	select {
	case <-run.done:
		return true
	case <-time.After(time.Duration(max(seconds, 1)) * time.Second):
		return false
	}
}

func (p *pod) setReady(name string, ready bool, run *running) {
	select {
	case <-run.done:
		return
	default:
	}
	p.mu.Lock()
	changed := p.states[name].Ready != ready
	p.states[name].Ready = ready
	p.mu.Unlock()
	if changed {
		p.report()
	}
}

func (p *pod) holds(c *v1.Container, probe *v1.Probe, run *running) bool {
	patience := time.Duration(max(probe.TimeoutSeconds, 1)) * time.Second
	switch {
	case probe.Exec != nil:
		command := enter(run, probe.Exec.Command)
		late := time.AfterFunc(patience, func() { command.Process.Kill() })
		defer late.Stop()
		return command.Run() == nil
	case probe.TCPSocket != nil:
		link, err := p.dial(portOf(c, probe.TCPSocket.Port), patience)
		if err == nil {
			link.Close()
		}
		return err == nil
	case probe.HTTPGet != nil:
		return p.answers(c, probe.HTTPGet, patience)
	}
	return false
}

func (p *pod) answers(c *v1.Container, get *v1.HTTPGetAction, patience time.Duration) bool {
	port := portOf(c, get.Port)
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	transport.Dial = func(_, _ string) (net.Conn, error) { return p.dial(port, patience) }
	client := &http.Client{Transport: transport, Timeout: patience}
	scheme := "http"
	if get.Scheme == v1.URISchemeHTTPS {
		scheme = "https"
	}
	answer, err := client.Get(fmt.Sprintf("%s://%s:%d%s", scheme, p.address, port, get.Path))
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode >= 200 && answer.StatusCode < 400
}

func portOf(c *v1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	for _, each := range c.Ports {
		if each.Name == port.StrVal {
			return each.ContainerPort
		}
	}
	return 0
}

// dial reaches a port of the pod from inside it: at its loopback, else at its address.
func (p *pod) dial(port int32, patience time.Duration) (link net.Conn, err error) {
	if p.space == 0 {
		return net.DialTimeout("tcp4", "127.0.0.1:"+strconv.Itoa(int(port)), patience)
	}
	err = inside(p.space, func() error {
		for _, host := range []string{"127.0.0.1", p.address} {
			link, err = net.DialTimeout("tcp4", net.JoinHostPort(host, strconv.Itoa(int(port))), patience)
			if err == nil {
				return nil
			}
		}
		return err
	})
	return link, err
}
