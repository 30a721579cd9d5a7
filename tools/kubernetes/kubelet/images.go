package main

import (
	"encoding/json"
	"os"
	"sort"
)

// image is what pods of that image have beyond this machine's files: folders of this machine, by the path at which they
// are seen there and cannot be changed, and variables.
type image struct {
	Folders map[string]string `json:"folders"`
	Env     map[string]string `json:"env"`
}

// readImages reads a file of images by their names; "" has none.
func readImages(file string) (map[string]image, error) {
	all := map[string]image{}
	if file == "" {
		return all, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(text, &all)
}

// mounts are the folders of an image, outer ones first.
func (i image) mounts() []mount {
	var all []mount
	for target, source := range i.Folders {
		all = append(all, mount{source, target, true})
	}
	sort.Slice(all, func(a, b int) bool { return len(all[a].Target) < len(all[b].Target) })
	return all
}
