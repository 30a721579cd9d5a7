package main

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// What a container runtime leaves a container by default, by the numbers of linux/capability.h.
var rights = map[string]int{
	"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
	"NET_BIND_SERVICE": 10, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31,
}

// Those beyond that pods ask for.
var moreRights = map[string]int{
	"DAC_READ_SEARCH": 2, "NET_ADMIN": 12, "IPC_LOCK": 14, "SYS_MODULE": 16, "SYS_PTRACE": 19, "SYS_ADMIN": 21,
	"SYS_NICE": 23, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39,
}

// spec is what the first process of a container is told.
func (p *pod) spec(c *v1.Container) (*container, error) {
	environment, err := p.environment(c)
	if err != nil {
		return nil, err
	}
	expand := func(text string) string { return expansion.Expand(text, expansion.MappingFuncFor(environment)) }
	mounts, err := p.mounts(c, expand)
	if err != nil {
		return nil, err
	}
	said := &container{Hostname: p.hostname(), Dir: c.WorkingDir, Mounts: append(p.k.images[c.Image].mounts(), mounts...), Own: !p.object.Spec.HostNetwork}
	said.Hidden, said.Files = p.k.hidden, p.files()
	for _, word := range append(append([]string{}, c.Command...), c.Args...) {
		said.Args = append(said.Args, expand(word))
	}
	if len(said.Args) == 0 {
		said.Args = []string{"/bin/sh"} // as an image that names a shell, which ends where no one speaks to it
	}
	if said.Dir == "" {
		said.Dir = "/"
	}
	for name, value := range environment {
		said.Env = append(said.Env, name+"="+value)
	}
	return said, p.secure(c, said)
}

func (p *pod) hostname() string {
	if p.object.Spec.Hostname != "" {
		return p.object.Spec.Hostname
	}
	return p.object.Name
}

func (p *pod) files() map[string]string {
	object := p.object
	names := p.hostname()
	if object.Spec.Subdomain != "" {
		names = fmt.Sprintf("%s.%s.%s.svc.cluster.local %s", names, object.Spec.Subdomain, object.Namespace, names)
	}
	hosts := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" + p.address + " " + names + "\n"
	for _, each := range object.Spec.HostAliases {
		hosts += each.IP + " " + strings.Join(each.Hostnames, " ") + "\n"
	}
	search := fmt.Sprintf("%s.svc.cluster.local svc.cluster.local cluster.local", object.Namespace)
	resolve := fmt.Sprintf("search %s\nnameserver %s\noptions ndots:5\n", search, p.k.network.gateway)
	return map[string]string{"/etc/hosts": hosts, "/etc/hostname": p.hostname() + "\n", "/etc/resolv.conf": resolve}
}

func (p *pod) environment(c *v1.Container) (map[string]string, error) {
	all := map[string]string{
		"PATH": defaultPath, "HOME": "/root", "HOSTNAME": p.hostname(),
		"KUBERNETES_SERVICE_HOST": p.k.network.gateway.String(), "KUBERNETES_SERVICE_PORT": "443",
	}
	for name, value := range p.k.images[c.Image].Env {
		all[name] = value
	}
	for _, each := range c.EnvFrom {
		var found []part
		var err error
		if each.ConfigMapRef != nil {
			found, err = p.configMap(each.ConfigMapRef.Name, nil, each.ConfigMapRef.Optional)
		} else if each.SecretRef != nil {
			found, err = p.secret(each.SecretRef.Name, nil, each.SecretRef.Optional)
		}
		if err != nil {
			return nil, err
		}
		for _, one := range found {
			all[each.Prefix+one.path] = one.text
		}
	}
	for _, each := range c.Env {
		value := expansion.Expand(each.Value, expansion.MappingFuncFor(all))
		if each.ValueFrom != nil {
			var there bool
			var err error
			if value, there, err = p.valueFrom(each.ValueFrom, c); err != nil {
				return nil, fmt.Errorf("env %s: %w", each.Name, err)
			} else if !there {
				continue
			}
		}
		all[each.Name] = value
	}
	return all, nil
}

func (p *pod) valueFrom(from *v1.EnvVarSource, c *v1.Container) (string, bool, error) {
	client := p.k.client.CoreV1()
	space := p.object.Namespace
	switch {
	case from.FieldRef != nil:
		text, err := p.fieldOf(from.FieldRef.FieldPath)
		return text, true, err
	case from.ResourceFieldRef != nil:
		text, err := resource.ExtractContainerResourceValue(from.ResourceFieldRef, c)
		return text, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		found, err := client.ConfigMaps(space).Get(always, ref.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, unless(ref.Optional, err)
		}
		text, there := found.Data[ref.Key]
		return text, there, missingKey(there, ref.Optional, ref.Key)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		found, err := client.Secrets(space).Get(always, ref.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, unless(ref.Optional, err)
		}
		text, there := found.Data[ref.Key]
		return string(text), there, missingKey(there, ref.Optional, ref.Key)
	}
	return "", false, fmt.Errorf("the lab has no such source")
}

func missingKey(there bool, optional *bool, key string) error {
	if there || optional != nil && *optional {
		return nil
	}
	return fmt.Errorf("there is no key %s", key)
}

// secure says as whom and with which rights a container runs.
func (p *pod) secure(c *v1.Container, said *container) error {
	said.Kept = map[int]bool{}
	for _, number := range rights {
		said.Kept[number] = true
	}
	if whole := p.object.Spec.SecurityContext; whole != nil {
		set(&said.User, whole.RunAsUser)
		set(&said.Group, whole.RunAsGroup)
		for _, group := range whole.SupplementalGroups {
			said.Groups = append(said.Groups, int(group))
		}
		if whole.FSGroup != nil {
			said.Groups = append(said.Groups, int(*whole.FSGroup))
		}
	}
	own := c.SecurityContext
	if own == nil {
		return nil
	}
	set(&said.User, own.RunAsUser)
	set(&said.Group, own.RunAsGroup)
	said.Privileged = own.Privileged != nil && *own.Privileged
	said.ReadOnly = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	said.NoNewPrivileges = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	if own.RunAsNonRoot != nil && *own.RunAsNonRoot && said.User == 0 {
		return fmt.Errorf("container has runAsNonRoot and image will run as root")
	}
	return keepRights(own.Capabilities, said.Kept)
}

func keepRights(wanted *v1.Capabilities, kept map[int]bool) error {
	if wanted == nil {
		return nil
	}
	for _, name := range wanted.Drop {
		if name == "ALL" {
			clear(kept)
		}
		delete(kept, numberOf(name))
	}
	for _, name := range wanted.Add {
		number := numberOf(name)
		if number < 0 {
			return fmt.Errorf("the lab does not know the capability %s", name)
		}
		kept[number] = true
	}
	return nil
}

func numberOf(name v1.Capability) int {
	plain := strings.TrimPrefix(string(name), "CAP_")
	if number, there := rights[plain]; there {
		return number
	}
	if number, there := moreRights[plain]; there {
		return number
	}
	return -1
}

func set(place *int, value *int64) {
	if value != nil {
		*place = int(*value)
	}
}
