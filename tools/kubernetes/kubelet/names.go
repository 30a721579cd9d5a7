package main

import (
	"log"
	"net"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
)

const zone = ".svc.cluster.local."

// names serves the names of services without an address of their own, and of the pods behind them, as cluster DNS does.
func (k *kubelet) names() error {
	var socket net.PacketConn
	err := inside(k.network.space, func() (err error) {
		socket, err = net.ListenPacket("udp4", k.network.gateway.String()+":53")
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 4096)
		for {
			size, from, err := socket.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer := k.answer(buffer[:size]); answer != nil {
				socket.WriteTo(answer, from)
			}
		}
	}()
	return nil
}

func (k *kubelet) answer(asked []byte) []byte {
	var parser dnsmessage.Parser
	header, err := parser.Start(asked)
	if err != nil {
		return nil
	}
	question, err := parser.Question()
	if err != nil {
		return nil
	}
	addresses, known := k.lookUp(strings.ToLower(question.Name.String()))
	reply := dnsmessage.Message{Questions: []dnsmessage.Question{question}}
	reply.Header = dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, each := range addresses {
		if four := net.ParseIP(each).To4(); four != nil && question.Type == dnsmessage.TypeA {
			head := dnsmessage.ResourceHeader{Name: question.Name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET, TTL: 1}
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte(four)}})
		}
	}
	packed, err := reply.Pack()
	if err != nil {
		log.Printf("name %s: %v", question.Name, err)
		return nil
	}
	return packed
}

// lookUp finds the addresses of service.namespace, or pod.service.namespace, and whether there is such a name.
func (k *kubelet) lookUp(name string) ([]string, bool) {
	if !strings.HasSuffix(name, zone) {
		return nil, false
	}
	words := strings.Split(strings.TrimSuffix(name, zone), ".")
	if len(words) < 2 || len(words) > 3 {
		return nil, false
	}
	service, err := k.services.Services(words[len(words)-1]).Get(words[len(words)-2])
	if err != nil {
		return nil, false
	}
	if len(service.Spec.Selector) == 0 {
		return nil, false
	}
	behind, _ := k.allPods.Pods(service.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
	var found []string
	for _, each := range behind {
		if each.Status.PodIP == "" || podutil.IsPodTerminal(each) {
			continue
		}
		if !podutil.IsPodReady(each) && !service.Spec.PublishNotReadyAddresses {
			continue
		}
		if len(words) == 2 || isCalled(each, words[0], service.Name) {
			found = append(found, each.Status.PodIP)
		}
	}
	return found, len(words) == 2 || len(found) > 0
}

func isCalled(one *v1.Pod, name, service string) bool {
	return one.Spec.Hostname == name && one.Spec.Subdomain == service
}
