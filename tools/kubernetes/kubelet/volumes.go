package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"

	authentication "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
)

// part is one file of a volume.
type part struct {
	path, text string
	mode       *int32
}

func (p *pod) volume(name string) string { return filepath.Join(p.folder, "volumes", name) }

// fillVolumes makes the folders of all volumes that have files or folders of their own.
func (p *pod) fillVolumes() error {
	for _, each := range p.object.Spec.Volumes {
		parts, mode, err := p.parts(each)
		if err != nil {
			return fmt.Errorf("volume %s: %w", each.Name, err)
		}
		folder := p.volume(each.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if each.EmptyDir != nil {
			os.Chmod(folder, 0o777)
		}
		for _, one := range parts {
			if err := write(folder, one, mode); err != nil {
				return err
			}
		}
	}
	return nil
}

func write(folder string, one part, mode *int32) error {
	if one.mode != nil {
		mode = one.mode
	}
	allowed := os.FileMode(0o644)
	if mode != nil {
		allowed = os.FileMode(*mode)
	}
	file := filepath.Join(folder, one.path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(one.text), 0o600); err != nil {
		return err
	}
	return os.Chmod(file, allowed)
}

func (p *pod) parts(volume v1.Volume) ([]part, *int32, error) {
	switch source := volume.VolumeSource; {
	case source.ConfigMap != nil:
		found, err := p.configMap(source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
		return found, source.ConfigMap.DefaultMode, err
	case source.Secret != nil:
		found, err := p.secret(source.Secret.SecretName, source.Secret.Items, source.Secret.Optional)
		return found, source.Secret.DefaultMode, err
	case source.DownwardAPI != nil:
		found, err := p.downward(source.DownwardAPI.Items)
		return found, source.DownwardAPI.DefaultMode, err
	case source.Projected != nil:
		return p.projected(source.Projected)
	case source.EmptyDir != nil || source.HostPath != nil || source.PersistentVolumeClaim != nil:
		return nil, nil, nil
	}
	return nil, nil, fmt.Errorf("the lab has no volumes of this kind")
}

func (p *pod) projected(source *v1.ProjectedVolumeSource) ([]part, *int32, error) {
	var all []part
	for _, each := range source.Sources {
		var found []part
		var err error
		switch {
		case each.ConfigMap != nil:
			found, err = p.configMap(each.ConfigMap.Name, each.ConfigMap.Items, each.ConfigMap.Optional)
		case each.Secret != nil:
			found, err = p.secret(each.Secret.Name, each.Secret.Items, each.Secret.Optional)
		case each.DownwardAPI != nil:
			found, err = p.downward(each.DownwardAPI.Items)
		case each.ServiceAccountToken != nil:
			found, err = p.token(each.ServiceAccountToken)
		default:
			err = fmt.Errorf("the lab has no projections of this kind")
		}
		if err != nil {
			return nil, nil, err
		}
		all = append(all, found...)
	}
	return all, source.DefaultMode, nil
}

func (p *pod) configMap(name string, items []v1.KeyToPath, optional *bool) ([]part, error) {
	found, err := p.k.client.CoreV1().ConfigMaps(p.object.Namespace).Get(always, name, metav1.GetOptions{})
	if err != nil {
		return nil, unless(optional, err)
	}
	texts := map[string]string{}
	for key, text := range found.Data {
		texts[key] = text
	}
	for key, text := range found.BinaryData {
		texts[key] = string(text)
	}
	return picked(texts, items)
}

func (p *pod) secret(name string, items []v1.KeyToPath, optional *bool) ([]part, error) {
	found, err := p.k.client.CoreV1().Secrets(p.object.Namespace).Get(always, name, metav1.GetOptions{})
	if err != nil {
		return nil, unless(optional, err)
	}
	texts := map[string]string{}
	for key, text := range found.Data {
		texts[key] = string(text)
	}
	return picked(texts, items)
}

func unless(optional *bool, err error) error {
	if errors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

func picked(texts map[string]string, items []v1.KeyToPath) ([]part, error) {
	var all []part
	for key, text := range texts {
		if items == nil {
			all = append(all, part{key, text, nil})
		}
	}
	for _, item := range items {
		text, there := texts[item.Key]
		if !there {
			return nil, fmt.Errorf("it has no key %s", item.Key)
		}
		all = append(all, part{item.Path, text, item.Mode})
	}
	return all, nil
}

func (p *pod) downward(items []v1.DownwardAPIVolumeFile) ([]part, error) {
	var all []part
	for _, item := range items {
		var text string
		var err error
		if item.FieldRef != nil {
			text, err = p.fieldOf(item.FieldRef.FieldPath)
		} else {
			text, err = resource.ExtractResourceValueByContainerName(item.ResourceFieldRef, p.object, item.ResourceFieldRef.ContainerName)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, part{item.Path, text, item.Mode})
	}
	return all, nil
}

func (p *pod) fieldOf(path string) (string, error) {
	switch path {
	case "spec.nodeName":
		return p.object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.object.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return p.k.address(p.object.Spec.NodeName), nil
	case "status.podIP", "status.podIPs":
		return p.address, nil
	}
	return fieldpath.ExtractFieldPathAsString(p.object, path)
}

func (p *pod) token(wanted *v1.ServiceAccountTokenProjection) ([]part, error) {
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: wanted.ExpirationSeconds}}
	request.Spec.BoundObjectRef = &authentication.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: p.object.Name, UID: p.uid}
	if wanted.Audience != "" {
		request.Spec.Audiences = []string{wanted.Audience}
	}
	accounts := p.k.client.CoreV1().ServiceAccounts(p.object.Namespace)
	made, err := accounts.CreateToken(always, p.object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	return []part{{wanted.Path, made.Status.Token, nil}}, nil
}

// mounts are those of a container, outer ones first.
func (p *pod) mounts(c *v1.Container, expand func(string) string) ([]mount, error) {
	var all []mount
	for _, each := range c.VolumeMounts {
		source, readOnly, err := p.source(each.Name)
		if err != nil {
			return nil, err
		}
		inside := each.SubPath + expand(each.SubPathExpr)
		if inside != "" {
			source = filepath.Join(source, inside)
			if _, err := os.Stat(source); err != nil {
				os.MkdirAll(source, 0o777)
			}
		}
		all = append(all, mount{source, each.MountPath, each.ReadOnly || readOnly})
	}
	sort.SliceStable(all, func(i, j int) bool { return len(all[i].Target) < len(all[j].Target) })
	if err := os.WriteFile(p.messageFile(c.Name), nil, 0o666); err != nil {
		return nil, err
	}
	os.Chmod(p.messageFile(c.Name), 0o666)
	return append(all, mount{p.messageFile(c.Name), c.TerminationMessagePath, false}), nil
}

// source is the folder that a volume is on this machine, and whether nobody may write there.
func (p *pod) source(name string) (string, bool, error) {
	for _, each := range p.object.Spec.Volumes {
		if each.Name != name {
			continue
		}
		switch {
		case each.HostPath != nil:
			if kind := each.HostPath.Type; kind != nil && *kind == v1.HostPathDirectoryOrCreate {
				os.MkdirAll(each.HostPath.Path, 0o755)
			}
			return each.HostPath.Path, false, nil
		case each.PersistentVolumeClaim != nil:
			// one folder a claim, which outlives the pod
			claim := p.object.Namespace + "." + each.PersistentVolumeClaim.ClaimName
			folder := filepath.Join(p.k.folder, "claims", claim)
			err := os.MkdirAll(folder, 0o777)
			os.Chmod(folder, 0o777)
			return folder, each.PersistentVolumeClaim.ReadOnly, err
		}
		return p.volume(name), each.EmptyDir == nil, nil
	}
	return "", false, fmt.Errorf("no volume %s", name)
}
