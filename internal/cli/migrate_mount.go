package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/keyturn/keyturn/api"
	"github.com/keyturn/keyturn/client"
	"github.com/keyturn/keyturn/internal/migrate"
)

// compareMounts finds which mounts of a Vault are to be made, and which show something else here.
func (m *migration) compareMounts(ctx context.Context) error {
	for _, want := range m.plan.Mounts {
		have, err := m.client.Mount(ctx, want.Name)
		switch {
		case errors.Is(err, client.NotFound) || errors.Is(err, client.Invalid):
			m.mounts = append(m.mounts, want)
		case err != nil:
			return err
		case have.Project != want.Project || have.Env != want.Env || have.Folder != want.Path:
			m.warn(fmt.Sprintf("the path %s shows something else here: clients that use it will not find what was moved; make another mount with %s", want.Name, mountLine(want)))
		}
	}
	return nil
}

// makeMounts lays the paths that applications have over what was moved. One that cannot be made is told.
func (m *migration) makeMounts(ctx context.Context) error {
	for _, want := range m.mounts {
		r := api.MountRequest{Path: want.Name, Project: want.Project, Env: want.Env, Folder: want.Path, Version: want.KV, Description: "moved from Vault"}
		for _, p := range m.projects {
			if p.plan.Slug == want.Project && p.here != nil {
				r.Project = p.here.ID
			}
		}
		_, err := m.client.CreateMount(ctx, r)
		if e, told := errors.AsType[*client.Error](err); told {
			m.warn(fmt.Sprintf("the mount %s is not made: %s; make it, or another one, with %s", want.Name, e.Detail, mountLine(want)))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mountLine is the command that makes a mount.
func mountLine(mount migrate.Mount) string {
	return fmt.Sprintf("keyturn mount create %s --project %s --env %s --path %s --kv %d", mount.Name, mount.Project, mount.Env, mount.Path, mount.KV)
}
