/** Headings of `emrchain --help`: who uses the commands below them. */
export const groups = {
  everybody: 'Everybody:',
  patients: 'Patients:',
  providers: 'Doctors, and others who read or write for patients:',
  organisations: 'Organisations and administrators:',
  clearLabels: 'Records with a clear label, as in the prototype:',
  operators: 'Operators of nodes:',
} as const
