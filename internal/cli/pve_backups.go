package cli

import "github.com/spf13/cobra"

func (a *app) pveBackupsCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "backups", Hidden: true}
}
