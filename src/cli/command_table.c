/* SPDX-License-Identifier: PostgreSQL */
/* The commands there are. */
#include "cli/command_table.h"

#include <stddef.h>

const struct command *const commands[] = {
	&command_migrate,
	&command_grants,
	&command_enqueue,
	&command_job_list,
	&command_job_show,
	&command_job_explain,
	&command_job_events,
	&command_job_cancel,
	&command_job_retry,
	&command_family_list,
	&command_family_show,
	&command_family_add,
	&command_family_set,
	&command_family_pause,
	&command_family_resume,
	&command_backup_create,
	&command_backup_list,
	&command_backup_show,
	&command_backup_restore,
	&command_backup_verify,
	&command_backup_drill,
	&command_backup_expire,
	&command_backup_pin,
	&command_backup_unpin,
	&command_worker_list,
	&command_top,
	&command_maintenance_run,
	&command_maintenance_status,
	&command_config_show,
	&command_config_check,
	&command_doctor,
	&command_adopt,
	&command_dev,
	&command_manual,
	&command_completion,
	NULL,
};
