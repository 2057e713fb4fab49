package pvetest_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/luthermonson/go-proxmox"
)

// TestPublicClient runs a public Go client, written against real nodes, against this server.
func TestPublicClient(t *testing.T) {
	f := start(t, nil)
	h := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.Pool()}}}
	for name, login := range map[string]proxmox.Option{
		"token":  proxmox.WithAPIToken("alice@pve!all", "a11"),
		"ticket": proxmox.WithCredentials(&proxmox.Credentials{Username: "alice@pve", Password: "wonder"}),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			c := proxmox.NewClient(f.URL(), proxmox.WithHTTPClient(h), login)
			v, err := c.Version(ctx)
			if err != nil || v.Version != "9.1.3" {
				t.Fatalf("version %v, %v", v, err)
			}
			nodes, err := c.Nodes(ctx)
			if err != nil || len(nodes) != 1 || nodes[0].Node != "pve1" {
				t.Fatalf("nodes %v, %v", nodes, err)
			}
			n, err := c.Node(ctx, "pve1")
			if err != nil {
				t.Fatal(err)
			}
			vms, err := n.VirtualMachines(ctx)
			if err != nil || len(vms) != 2 || vms[0].Name != "web" {
				t.Errorf("virtual machines %v, %v", vms, err)
			}
			cts, err := n.Containers(ctx)
			if err != nil || len(cts) != 1 || cts[0].Name != "dns" {
				t.Errorf("containers %v, %v", cts, err)
			}
			vm, err := n.VirtualMachine(ctx, 100)
			if err != nil {
				t.Fatal(err)
			}
			if vm.VirtualMachineConfig.Nets["net0"] == "" {
				t.Error("the configuration of the machine was not read")
			}
			task, err := vm.Start(ctx)
			if err != nil || task.Type != "qmstart" {
				t.Errorf("start: %v, %v", task, err)
			}
			if err := task.Ping(ctx); err != nil || !task.IsRunning {
				t.Errorf("the task: %+v, %v", task, err)
			}
			storages, err := n.Storages(ctx)
			if err != nil || len(storages) != 1 || storages[0].Name != "local" {
				t.Errorf("storages %v, %v", storages, err)
			}
			if all, err := c.ClusterStorages(ctx); err != nil || len(all) != 1 {
				t.Errorf("storages of the cluster %v, %v", all, err)
			}
			users, err := c.Users(ctx)
			if err != nil || len(users) == 0 {
				t.Errorf("users %v, %v", users, err)
			}
			if acl, err := c.ACL(ctx); err != nil || len(acl) == 0 {
				t.Errorf("acl %v, %v", acl, err)
			}
			cluster, err := c.Cluster(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := cluster.Resources(ctx); err != nil || len(r) != 5 {
				t.Errorf("resources %v, %v", r, err)
			}
			if o, err := cluster.FirewallOptions(ctx); err != nil || o == nil {
				t.Errorf("firewall options %v, %v", o, err)
			}
		})
	}
	if _, err := proxmox.NewClient(f.URL(), proxmox.WithHTTPClient(h), proxmox.WithAPIToken("alice@pve!all", "wrong")).Version(context.Background()); err == nil {
		t.Error("a wrong token is accepted")
	}
}
