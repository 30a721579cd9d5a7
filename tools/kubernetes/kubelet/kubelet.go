package main

import (
	"context"
	"log"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	lister "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

const modeAnnotation = "lab.skyrig/pods"

var always = context.Background()

type kubelet struct {
	client   kubernetes.Interface
	folder   string
	hidden   []string
	images   map[string]image
	network  *network
	nodes    lister.NodeLister
	allPods  lister.PodLister
	services lister.ServiceLister

	mu   sync.Mutex
	pods map[string]*pod // by namespace/name
	lost map[string]bool // nodes that are silent
}

// watch follows nodes, services and pods; it returns when the nodes and services that there are are known.
func (k *kubelet) watch() {
	factory := informers.NewSharedInformerFactory(k.client, 0)
	k.nodes, k.services = factory.Core().V1().Nodes().Lister(), factory.Core().V1().Services().Lister()
	factory.Core().V1().Nodes().Informer()
	factory.Core().V1().Services().Informer()
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	bound := informers.NewSharedInformerFactoryWithOptions(k.client, 0, informers.WithTweakListOptions(
		func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermNotEqualSelector("spec.nodeName", "").String()
		}))
	k.allPods = bound.Core().V1().Pods().Lister()
	bound.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { k.seen(o.(*v1.Pod)) },
		UpdateFunc: func(_, o any) { k.seen(o.(*v1.Pod)) },
		DeleteFunc: func(o any) {
			if ghost, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = ghost.Obj
			}
			k.gone(o.(*v1.Pod))
		},
	})
	bound.Start(nil)
}

// mode is what becomes of the pods of a node; a node that is not known yet is asked for.
func (k *kubelet) mode(name string) string {
	node, err := k.nodes.Get(name)
	if err != nil {
		node, err = k.client.CoreV1().Nodes().Get(always, name, metav1.GetOptions{})
	}
	if err != nil {
		return "none"
	}
	return node.Annotations[modeAnnotation]
}

func (k *kubelet) seen(now *v1.Pod) {
	key := now.Namespace + "/" + now.Name
	terminal := now.Status.Phase == v1.PodSucceeded || now.Status.Phase == v1.PodFailed
	mode := k.mode(now.Spec.NodeName)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost[now.Spec.NodeName] {
		return
	}
	known := k.pods[key]
	if known != nil && known.uid == now.UID {
		known.update(now)
		return
	}
	switch {
	case now.DeletionTimestamp != nil:
		go k.forget(now)
	case terminal || mode == "none":
	case mode == "run":
		started := newPod(k, now)
		k.pods[key] = started
		go started.run()
	case now.Status.Phase == v1.PodPending:
		go k.pretend(now)
	}
}

func (k *kubelet) gone(now *v1.Pod) {
	if one := k.find(now.Namespace, now.Name); one != nil && one.uid == now.UID {
		one.kill()
		k.mu.Lock()
		delete(k.pods, now.Namespace+"/"+now.Name)
		k.mu.Unlock()
	}
}

func (k *kubelet) find(namespace, name string) *pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pods[namespace+"/"+name]
}

// forget tells the API server that nothing is left of a pod that is being deleted.
func (k *kubelet) forget(one *v1.Pod) {
	zero, uid := int64(0), one.UID
	options := metav1.DeleteOptions{GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &uid}}
	err := k.client.CoreV1().Pods(one.Namespace).Delete(always, one.Name, options)
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
		log.Printf("%s/%s is not deleted: %v", one.Namespace, one.Name, err)
	}
}

func (k *kubelet) pretend(one *v1.Pod) {
	now := metav1.Now()
	address := "10.42.255.254"
	status := v1.PodStatus{Phase: v1.PodRunning, HostIP: k.address(one.Spec.NodeName), PodIP: address, StartTime: &now}
	status.PodIPs = []v1.PodIP{{IP: address}}
	yes := true
	for _, each := range one.Spec.Containers {
		running := v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: now}}
		status.ContainerStatuses = append(status.ContainerStatuses, v1.ContainerStatus{
			Name: each.Name, Image: each.Image, ImageID: "lab", ContainerID: "lab://pretended", Ready: true, Started: &yes, State: running,
		})
	}
	status.Conditions = conditions(one, true, true, true, "")
	k.report(one, status)
}

// report replaces what the API server knows of a pod's state.
func (k *kubelet) report(one *v1.Pod, status v1.PodStatus) {
	body := map[string]any{"metadata": map[string]any{"uid": one.UID}, "status": status}
	_, err := k.client.CoreV1().Pods(one.Namespace).Patch(always, one.Name, types.MergePatchType, encoded(body), metav1.PatchOptions{}, "status")
	if err != nil && !errors.IsNotFound(err) && !errors.IsConflict(err) {
		log.Printf("status of %s/%s: %v", one.Namespace, one.Name, err)
	}
}

func (k *kubelet) address(node string) string {
	if found, err := k.nodes.Get(node); err == nil {
		return found.Annotations["lab.skyrig/address"]
	}
	return ""
}

// beat says every few seconds that the nodes are there: else the node controller would have them not ready.
func (k *kubelet) beat() {
	for ; ; time.Sleep(10 * time.Second) {
		all, _ := k.client.CoreV1().Nodes().List(always, metav1.ListOptions{})
		for _, node := range all.Items {
			k.mu.Lock()
			silent := k.lost[node.Name]
			k.mu.Unlock()
			if !silent {
				k.renew(node)
			}
		}
	}
}

func (k *kubelet) renew(node v1.Node) {
	leases := k.client.CoordinationV1().Leases("kube-node-lease")
	now, seconds := metav1.NowMicro(), int32(40)
	lease, err := leases.Get(always, node.Name, metav1.GetOptions{})
	if errors.IsNotFound(err) {
		lease.ObjectMeta = metav1.ObjectMeta{Name: node.Name}
		lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &node.Name, &seconds, &now
		_, err = leases.Create(always, lease, metav1.CreateOptions{})
	} else if err == nil {
		lease.Spec.RenewTime = &now
		_, err = leases.Update(always, lease, metav1.UpdateOptions{})
	}
	if err != nil && !errors.IsConflict(err) {
		log.Printf("lease of %s: %v", node.Name, err)
	}
}

// lose has a node's processes end without a word to the API server; with `back` it is heard of again.
func (k *kubelet) lose(node string, back bool) {
	k.mu.Lock()
	k.lost[node] = !back
	var hit []*pod
	for key, each := range k.pods {
		if each.now().Spec.NodeName == node {
			hit = append(hit, each)
			if !back {
				delete(k.pods, key)
			}
		}
	}
	k.mu.Unlock()
	for _, each := range hit {
		if !back {
			each.silence()
		}
	}
}

func (k *kubelet) killAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, each := range k.pods {
		each.silence()
	}
}
