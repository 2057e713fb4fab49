package cli

import "github.com/spf13/cobra"

func (a *app) pveReachCommand(e *estateFlags) *cobra.Command {
	return &cobra.Command{Use: "reach", Hidden: true}
}
