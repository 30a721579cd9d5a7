// A kubelet for tests: it runs the containers of pods as processes of this machine, in namespaces of their own.
//
// One process stands for all nodes of a lab (tests/clouds/kubernetes/lab). What becomes of a node's pods its annotation
// lab.skyrig/pods says: run, pretend (a status and no process), none (bound, and no more). All that is made here
// vanishes with this process.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type options struct {
	kubeconfig, port, cert, key, authority, folder, pods, gateway, hide, images string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "init" {
		becomeContainer()
	}
	var o options
	flag.StringVar(&o.kubeconfig, "kubeconfig", "", "file with the way to the API server")
	flag.StringVar(&o.port, "port", "", "port of this kubelet's own API")
	flag.StringVar(&o.cert, "cert", "", "its certificate")
	flag.StringVar(&o.key, "key", "", "its key")
	flag.StringVar(&o.authority, "authority", "", "certificate of the authority of those who may use that API")
	flag.StringVar(&o.folder, "folder", "", "where logs and volumes lie")
	flag.StringVar(&o.pods, "pods", "", "network of the pods")
	flag.StringVar(&o.gateway, "gateway", "", "address of this kubelet there")
	flag.StringVar(&o.hide, "hide", "", "folders of this machine that pods see empty, separated by commas")
	flag.StringVar(&o.images, "images", "", "file of what images have beyond the files of this machine")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = 500, 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	wire, err := newNetwork(o.gateway, o.pods)
	if err != nil {
		log.Fatalf("no network for pods: %v", err)
	}
	k := &kubelet{client: client, folder: o.folder, network: wire, pods: map[string]*pod{}, lost: map[string]bool{}}
	k.hidden = strings.FieldsFunc(o.hide, func(r rune) bool { return r == ',' })
	if k.images, err = readImages(o.images); err != nil {
		log.Fatalf("images: %v", err)
	}
	if err := wire.forward("443", strings.TrimPrefix(config.Host, "https://")); err != nil {
		log.Fatal(err)
	}
	go k.serve(o)
	k.watch()
	if err := k.names(); err != nil {
		log.Fatal(err)
	}
	go k.beat()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	k.killAll()
}
