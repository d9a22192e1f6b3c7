/* SPDX-License-Identifier: PostgreSQL */
/* The structs that the files of commands end with. */
#ifndef ATHENA_CLI_COMMAND_TABLE_H
#define ATHENA_CLI_COMMAND_TABLE_H

#include "cli/command.h"

extern const struct command command_migrate, command_grants;
extern const struct command command_enqueue;
extern const struct command command_clone;
extern const struct command command_job_list, command_job_show, command_job_events;
extern const struct command command_job_explain;
extern const struct command command_job_cancel, command_job_retry;
extern const struct command command_family_list, command_family_show;
extern const struct command command_family_add, command_family_set;
extern const struct command command_family_pause, command_family_resume;
extern const struct command command_backup_create, command_backup_list, command_backup_show;
extern const struct command command_backup_restore, command_backup_verify, command_backup_drill;
extern const struct command command_backup_expire, command_backup_schedule;
extern const struct command command_backup_pin, command_backup_unpin;
extern const struct command command_schedule_list, command_schedule_add, command_schedule_next;
extern const struct command command_schedule_pause, command_schedule_resume;
extern const struct command command_schedule_run_now, command_schedule_remove;
extern const struct command command_worker_list;
extern const struct command command_maintenance_run;
extern const struct command command_maintenance_status;
extern const struct command command_config_show, command_config_check;
extern const struct command command_manual, command_completion;
extern const struct command command_top, command_doctor;
extern const struct command command_adopt;
extern const struct command command_dev;

/* Programs that are one command each; not in `commands`. */
extern const struct command program_worker, program_daemon;

#endif
