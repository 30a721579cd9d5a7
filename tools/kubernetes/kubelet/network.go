package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// network is a bridge in a network namespace that this process alone holds: nothing changes on the machine's own.
type network struct {
	mu      sync.Mutex
	space   netns.NsHandle
	gateway net.IP
	mask    net.IPMask
	next    uint32
}

func newNetwork(gateway, pods string) (*network, error) {
	_, space, err := net.ParseCIDR(pods)
	if err != nil {
		return nil, err
	}
	own, err := newSpace()
	if err != nil {
		return nil, err
	}
	n := &network{space: own, gateway: net.ParseIP(gateway).To4(), mask: space.Mask, next: 10}
	handle, err := netlink.NewHandleAt(own)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "pods", MTU: 65000}}
	if err := handle.LinkAdd(bridge); err != nil {
		return nil, err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: n.gateway, Mask: n.mask}}
	if err := handle.AddrAdd(bridge, address); err != nil {
		return nil, err
	}
	return n, firstOf(up(handle, "lo"), handle.LinkSetUp(bridge))
}

// newSpace makes a network namespace; this thread stays where it is.
func newSpace() (netns.NsHandle, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		return 0, err
	}
	defer before.Close()
	made, err := netns.New()
	if err != nil {
		return 0, err
	}
	return made, netns.Set(before)
}

// inside runs what must happen in a network namespace: sockets made there belong to it for good.
func inside(space netns.NsHandle, do func() error) error {
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	if err := netns.Set(space); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	result := do()
	if netns.Set(before) == nil { // else this thread must serve nobody else
		runtime.UnlockOSThread()
	}
	return result
}

// plug makes a network namespace for a pod, with a cable to the bridge; it and the address there.
func (n *network) plug() (netns.NsHandle, string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := n.next
	n.next++
	address := net.IPv4(n.gateway[0], n.gateway[1], byte(number>>8), byte(number)).To4()
	space, err := newSpace()
	if err != nil {
		return 0, "", err
	}
	here, err := netlink.NewHandleAt(n.space)
	if err != nil {
		return 0, "", err
	}
	defer here.Close()
	bridge, err := here.LinkByName("pods")
	if err != nil {
		return 0, "", err
	}
	attributes := netlink.LinkAttrs{Name: fmt.Sprintf("p%d", number), MTU: 65000, MasterIndex: bridge.Attrs().Index}
	cable := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerNamespace: netlink.NsFd(space)}
	if err := here.LinkAdd(cable); err != nil {
		return 0, "", err
	}
	if err := here.LinkSetUp(cable); err != nil {
		return 0, "", err
	}
	return space, address.String(), n.configure(space, address)
}

func (n *network) configure(space netns.NsHandle, address net.IP) error {
	there, err := netlink.NewHandleAt(space)
	if err != nil {
		return err
	}
	defer there.Close()
	card, err := there.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := there.AddrAdd(card, &netlink.Addr{IPNet: &net.IPNet{IP: address, Mask: n.mask}}); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: card.Attrs().Index, Gw: n.gateway}
	return firstOf(up(there, "lo"), there.LinkSetUp(card), there.RouteAdd(route))
}

func up(handle *netlink.Handle, name string) error {
	link, err := handle.LinkByName(name)
	if err != nil {
		return err
	}
	return handle.LinkSetUp(link)
}

// forward leads connections to a port of the gateway to a place that this machine reaches.
func (n *network) forward(port, place string) error {
	var listener net.Listener
	err := inside(n.space, func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(n.gateway.String(), port))
		return err
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				to, err := net.Dial("tcp", place)
				if err != nil {
					from.Close()
					return
				}
				join(from, to)
			}()
		}
	}()
	return nil
}

// join copies both ways until both are at their end.
func join(one, other io.ReadWriteCloser) {
	var both sync.WaitGroup
	both.Add(2)
	pump := func(to, from io.ReadWriteCloser) {
		defer both.Done()
		io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		} else {
			to.Close()
		}
	}
	go pump(one, other)
	go pump(other, one)
	both.Wait()
	one.Close()
	other.Close()
}

func firstOf(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}
