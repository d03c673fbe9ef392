package transit

import (
	"context"
	"strconv"

	"github.com/keyturn/keyturn/internal/domain"
	"github.com/keyturn/keyturn/internal/guard"
)

// CheckValues opens every version of every key of the caller's organisation, and reports those whose material is not in its place.
// What was purged has no row, so purged is not asked.
func (s *Service) CheckValues(ctx context.Context, p guard.Permit, _ func(id string) bool, report func(row, text string)) (int64, error) {
	projects, err := s.db.Projects(ctx, p.Org())
	if err != nil {
		return 0, err
	}
	places := []domain.ProjectID{""}
	for _, project := range projects {
		places = append(places, project.ID)
	}
	checked := int64(0)
	for _, project := range places {
		rows, err := s.db.TransitKeys(ctx, p.Org(), project)
		if err != nil {
			return checked, err
		}
		for i := range rows {
			versions, err := s.db.TransitVersions(ctx, rows[i].ID)
			if err != nil {
				return checked, err
			}
			if int64(len(versions)) != rows[i].Latest-max(rows[i].MinAvailable, 1)+1 {
				report("transit_key "+rows[i].ID, "it does not have as many versions as it says")
			}
			for _, row := range versions {
				checked++
				v := version{row: row, kind: Kind(rows[i].Kind)}
				if _, err := s.open(ctx, p, &v); err != nil || row.Project != project || row.Key+":"+strconv.FormatInt(row.Version, 10) != row.ID {
					report("transit_version "+row.ID, "its material does not open in its place: it was altered, swapped or put back")
				}
			}
		}
	}
	return checked, nil
}
