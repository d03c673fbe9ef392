// Package testpg starts a real PostgreSQL server for tests, on loopback, in a temporary folder, for as long as the test
// binary lives.
//
// A test package opts in with
//
//	func TestMain(m *testing.M) { os.Exit(testpg.Run(m)) }
//
// and then asks for databases:
//
//	dsn := testpg.Database(t)
//
// All tests of one binary share one server ([Start]); each call of [Database] makes a fresh database in it. Tests that
// crash the server, or want settings of their own, take one for themselves ([Private]).
//
// The server is meant to be as unforgiving as a user's: fsync is on, the role that tests log in with is no superuser, and
// text sorts by the rules of a language instead of by bytes, so that a query that forgets its collation is caught. It also
// logs every statement with its parameters, so that a search for planted plaintext has something to search.
//
// A missing PostgreSQL is a failure, never a skip.
package testpg
