package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/keyturn/keyturn/bench/measure"
)

// projectKeyPostgres turns the key of a project on PostgreSQL, on the server of
// -postgres or on one of its own. Where there is none, that is a note.
func (b *bench) projectKeyPostgres(ctx context.Context, n int) error {
	if b.tools.keyturn == "" {
		return nil
	}
	admin, stop := b.choice.postgres, func() error { return nil }
	if admin == "" {
		own, err := startPostgres(ctx)
		if err != nil {
			return fmt.Errorf("no PostgreSQL: %w; install one, or give the address of one with -postgres", err)
		}
		admin, stop = own.address(), own.stop
	}
	return errors.Join(b.onPostgres(ctx, admin, n), stop())
}

func (b *bench) onPostgres(ctx context.Context, admin string, n int) error {
	name, err := makeDatabase(ctx, admin, "")
	if err != nil {
		return err
	}
	address, err := databaseAt(admin, name)
	if err != nil {
		return err
	}
	kt := &keyturnPeer{tools: b.tools, dir: filepath.Join(b.dir, name), label: keyturn, env: ktDatabase(address)}
	if b.enter(ctx, kt, n) {
		err = b.projectKey(ctx, kt, "PostgreSQL", n, func(ctx context.Context, _ *keyturnPeer) (func(context.Context) (measure.Result, error), func() error, error) {
			return b.handOnPostgres(ctx, admin, name)
		})
	}
	return errors.Join(err, kt.Stop(), dropDatabase(ctx, admin, name))
}

// handOnPostgres works on a copy that the server makes of the database.
func (b *bench) handOnPostgres(ctx context.Context, admin, of string) (func(context.Context) (measure.Result, error), func() error, error) {
	name, err := makeDatabase(ctx, admin, of)
	if err != nil {
		return nil, nil, err
	}
	address, err := databaseAt(admin, name)
	if err != nil {
		return nil, nil, err
	}
	if err := vacuum(ctx, address); err != nil {
		return nil, nil, err
	}
	run := func(ctx context.Context) (measure.Result, error) {
		r, err := b.floorReseal(ctx, "-postgres", address)
		if err == nil {
			err = vacuum(ctx, address) // a turn leaves no dead rows behind either
		}
		return r, err
	}
	return run, func() error { return dropDatabase(ctx, admin, name) }, nil
}

// vacuum writes the table of values anew, as Keyturn does when a turn ends.
func vacuum(ctx context.Context, address string) error {
	return postgresDo(ctx, address, "VACUUM (FULL, ANALYZE) secret")
}

// makeDatabase makes a database with a fresh name, as a copy of another one
// unless that is empty.
func makeDatabase(ctx context.Context, admin, of string) (string, error) {
	name := fmt.Sprintf("keyturn_bench_%x", random32())
	text := "CREATE DATABASE " + name
	if of != "" {
		text += " TEMPLATE " + of
	}
	return name, postgresDo(ctx, admin, text)
}

func dropDatabase(ctx context.Context, admin, name string) error {
	return postgresDo(context.WithoutCancel(ctx), admin, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
}

func postgresDo(ctx context.Context, address, text string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
